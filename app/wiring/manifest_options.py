"""What the settings say about every manifest."""

import os

from common.errors import StartError
from common.settings.settings import Settings
from submission.local.spark_submit import local_path
from submission.manifest.limits import ManifestLimits
from submission.manifest.options import ManifestOptions, SecretKey, bundled_examples
from submission.manifest.platform import Platform
from submission.manifest.template import load_template


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
    ):
        raise StartError(
            f"CALLBACK_TOKEN_SECRET: drivers on {platform.in_words} get CALLBACK_TOKEN from a Secret;"
            " say name/key."
        )
    host, port = settings.callback_address
    if platform.jars_in_image is None:  # elsewhere they lie in images that the service does not see
        _must_exist("LISTENER_JAR", submission.listener_jar)
        _must_exist("EXAMPLES_LOCATION", submission.examples_location)
    return ManifestOptions(
        callback_host=host,
        callback_port=port,
        listener_jar=submission.listener_jar or platform.listener_jar,
        callback_timeout_seconds=submission.callback_timeout_seconds,
        callback_token_secret=_secret_key(submission.callback_token_secret),
        examples=bundled_examples(submission.examples_location or platform.examples_location),
        platform=platform,
        namespace=settings.kubernetes.kubernetes_namespace,
        namespaces=settings.kubernetes.kubernetes_namespaces,
        template=load_template(submission.spark_application_template),
        limits=_limits(settings),
    )


def _must_exist(setting: str, location: str) -> None:
    """Raises StartError where a path on this machine leads nowhere."""
    path = local_path(location)
    if path.startswith("/") and not os.path.exists(path):  # noqa: PTH110 - a pathlib.Path raises for long names
        raise StartError(f"{setting}: {path} does not exist on this machine.")


def _secret_key(reference: str | None) -> SecretKey | None:
    return None if reference is None else SecretKey(*reference.split("/", 1))


def _limits(settings: Settings) -> ManifestLimits:
    submission = settings.submission
    return ManifestLimits(
        max_executors=submission.submission_max_executors,
        max_executor_cores=submission.submission_max_executor_cores,
        max_executor_memory=submission.submission_max_executor_memory,
        max_driver_cores=submission.submission_max_driver_cores,
        max_driver_memory=submission.submission_max_driver_memory,
        images=submission.submission_allowed_images,
        service_accounts=submission.submission_allowed_service_accounts,
        secrets=submission.submission_allowed_secrets,
        volumes=submission.submission_allowed_volumes,
    )
