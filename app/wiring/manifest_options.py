"""What the settings say about every manifest."""

import os

from common.errors import StartError
from common.settings.group import PROJECT_ROOT
from common.settings.settings import Settings
from submission.local.spark_submit import local_path
from submission.manifest.limits import ManifestLimits
from submission.manifest.options import ManifestOptions, SecretKey, bundled_examples
from submission.manifest.template import load_template

_JAR_IN_IMAGE = "local:///opt/spark/jars/enel-listener.jar"
_EXAMPLES_IN_IMAGE = "local:///opt/enel-service/examples"


def manifest_options(settings: Settings) -> ManifestOptions:
    """Read the template, and choose what differs between Kubernetes and this machine.

    Raises:
        StartError: The template is of no use, or drivers on Kubernetes could not get their token.
    """
    submission = settings.submission
    on_kubernetes = settings.kubernetes.is_configured
    if (
        on_kubernetes
        and submission.callback_token.get_secret_value()
        and not submission.callback_token_secret
    ):
        raise StartError(
            "CALLBACK_TOKEN_SECRET: drivers on Kubernetes get CALLBACK_TOKEN from a Secret; say name/key."
        )
    host, port = settings.callback_address
    jar_is_said = "listener_jar" in submission.model_fields_set
    if not on_kubernetes:  # there they lie in images that the service does not see
        _must_exist("LISTENER_JAR", submission.listener_jar if jar_is_said else "")
        _must_exist("EXAMPLES_LOCATION", submission.examples_location)
    examples = _EXAMPLES_IN_IMAGE if on_kubernetes else str(PROJECT_ROOT / "examples")
    return ManifestOptions(
        callback_host=host,
        callback_port=port,
        listener_jar=_JAR_IN_IMAGE if on_kubernetes and not jar_is_said else submission.listener_jar,
        callback_timeout_seconds=submission.callback_timeout_seconds,
        callback_token_secret=_secret_key(submission.callback_token_secret),
        examples=bundled_examples(submission.examples_location or examples),
        platform="kubernetes" if on_kubernetes else "local",
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
