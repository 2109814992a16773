"""What the settings say about every manifest."""

import os

from app.wiring.template_trial import trial_manifest
from common.errors import StartError
from common.settings.settings import Settings
from submission.local.spark_submit import local_path
from submission.manifest.allowed import HARMLESS_PROPERTIES
from submission.manifest.fields import Fields
from submission.manifest.limits import ManifestLimits
from submission.manifest.options import ManifestOptions, SecretKey, bundled_examples
from submission.manifest.platform import Platform, refused_fields
from submission.manifest.template import SETTING, load_template

ANYTHING = "*"


def manifest_options(settings: Settings, platform: Platform) -> ManifestOptions:
    """Read the template, and take from the platform what no setting says.

    Raises:
        StartError: The template is of no use, or drivers could not get their token.
    """
    submission = settings.submission
    if (
        platform.token_by_secret
        and submission.callback_token.get_secret_value()
        and not submission.callback_token_secret
        and not settings.access_by_tokens
    ):
        raise StartError(
            f"CALLBACK_TOKEN_SECRET: drivers on {platform.in_words} get CALLBACK_TOKEN from a Secret;"
            " say name/key."
        )
    host, port = settings.callback_address
    if platform.jars_in_image is None:  # elsewhere they lie in images that the service does not see
        _must_exist("LISTENER_JAR", submission.listener_jar)
        _must_exist("EXAMPLES_LOCATION", submission.examples_location)
    options = ManifestOptions(
        callback_host=host,
        callback_port=port,
        listener_jar=submission.listener_jar or platform.listener_jar,
        callback_timeout_seconds=submission.callback_timeout_seconds,
        callback_token_secret=_secret_key(submission.callback_token_secret),
        token_per_execution=settings.access_by_tokens,
        examples=bundled_examples(submission.examples_location or platform.examples_location),
        launcher=_launcher(settings, platform),
        platform=platform,
        namespace=settings.kubernetes.kubernetes_namespace,
        namespaces=settings.kubernetes.kubernetes_namespaces,
        template=_template(settings, platform),
        limits=_limits(settings, platform),
    )
    trial_manifest(options)
    return options


def _template(settings: Settings, platform: Platform) -> Fields:
    """Raises StartError where it says what the platform could carry out for no application."""
    template = load_template(settings.submission.spark_application_template)
    refused = dict(refused_fields(template["spec"], platform.refused_fields))
    if refused:
        said = "; ".join(f"{name}: {instead}" for name, instead in refused.items())
        raise StartError(f"{SETTING}: {platform.in_words} has nothing for what it says. {said}.")
    return template


def _launcher(settings: Settings, platform: Platform) -> str:
    """Empty where programs of workspaces are not to run: on this machine, as the service's own user."""
    programs = settings.programs
    if platform.jars_in_image is None:
        allowed = programs.local_programs
        if not (not settings.access_by_tokens if allowed is None else allowed):
            return ""
    return programs.program_launcher or platform.launcher


def _must_exist(setting: str, location: str) -> None:
    """Raises StartError where a path on this machine leads nowhere."""
    path = local_path(location)
    if path.startswith("/") and not os.path.exists(path):  # noqa: PTH110 - a pathlib.Path raises for long names
        raise StartError(f"{setting}: {path} does not exist on this machine.")


def _secret_key(reference: str | None) -> SecretKey | None:
    return None if reference is None else SecretKey(*reference.split("/", 1))


def _limits(settings: Settings, platform: Platform) -> ManifestLimits:
    """Once access is by tokens, what nobody has allowed is refused.

    On a platform without images a program is the service's user: there that goes for programs, too.
    """
    submission = settings.submission
    by_tokens = settings.access_by_tokens
    is_here = by_tokens and platform.jars_in_image is None
    return ManifestLimits(
        max_executors=submission.submission_max_executors,
        max_executor_cores=submission.submission_max_executor_cores,
        max_executor_memory=submission.submission_max_executor_memory,
        max_driver_cores=submission.submission_max_driver_cores,
        max_driver_memory=submission.submission_max_driver_memory,
        images=_allowed(submission.submission_allowed_images, closed=by_tokens),
        service_accounts=_allowed(submission.submission_allowed_service_accounts, closed=by_tokens),
        secrets=_allowed(submission.submission_allowed_secrets, closed=by_tokens),
        volumes=submission.submission_allowed_volumes,
        main_files=_allowed(submission.submission_allowed_main_files, closed=is_here),
        spark_conf=_allowed(
            submission.submission_allowed_spark_conf or (HARMLESS_PROPERTIES if is_here else ()),
            closed=is_here,
        ),
    )


def _allowed(names: tuple[str, ...], *, closed: bool) -> tuple[str, ...] | None:
    """None: any. A setting that says nothing allows nothing where `closed`, and `*` anything."""
    if ANYTHING in names or (not names and not closed):
        return None
    return names
