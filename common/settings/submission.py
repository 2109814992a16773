"""Settings of submissions: how drivers reach the service, and what a request may ask for."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from common.addresses import check_uri_host, file_uri
from common.forms import Form
from common.settings.group import Names, Port, SettingsGroup, Timeout, token

HARMLESS_VOLUMES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
"""Of Kubernetes' Pod Security Standards, level "restricted": none reaches into a node."""

_Memory = Annotated[str, Form(r"^[1-9][0-9]*[mg]$", "a size such as 512m or 8g")]


class SubmissionSettings(SettingsGroup):
    """How applications are submitted."""

    submission_platform: str = ""
    """Where applications run, such as `local` or `kubernetes`; empty: on Kubernetes where a connection to
    it is configured, otherwise on this machine."""

    callback_host: str = ""
    """Host under which Spark drivers reach this service, without underscores; empty: HOST, or loopback when
    HOST is 0.0.0.0."""

    callback_port: Port | None = None
    """Port under which Spark drivers reach this service; unset: PORT."""

    callback_timeout_seconds: Timeout = 30.0
    """Seconds until a driver gives up on one report and tries again."""

    callback_token: SecretStr = SecretStr("")
    """Token that listeners have to send with their reports, of whatever application; empty: reports need
    none, or where access is by tokens, that of their own application, which the service makes."""

    callback_token_secret: (
        Annotated[
            str,
            Form(
                r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[-._A-Za-z0-9]+$",
                "name and key of a Secret, such as enel-callback/token",
            ),
        ]
        | None
    ) = None
    """`name/key` of the Kubernetes Secret that holds CALLBACK_TOKEN for drivers, in every namespace where
    applications run. The service neither reads nor creates it."""

    listener_jar: str = ""
    """The Spark plugin, as a path or URL that the driver can read; empty: `listener/build` of this checkout,
    on Kubernetes local:///opt/spark/jars/enel-listener.jar, as in the image of deploy/spark."""

    examples_location: str = ""
    """Folder or URI of the bundled examples, as the driver sees it; empty: `examples` of this checkout,
    on Kubernetes local:///opt/enel-service/examples, as in the image of deploy/spark."""

    spark_application_template: str = ""
    """Path of a YAML or JSON file with a partial SparkApplication that lies beneath every manifest."""

    submission_max_executors: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Largest max_scale_out that a request may name; unset: no limit."""

    submission_max_executor_cores: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Most cores of one executor; unset: no limit."""

    submission_max_executor_memory: _Memory | None = None
    """Most memory of one executor with all overheads, such as `16g`; unset: no limit."""

    submission_max_driver_cores: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Most cores of a driver; unset: no limit."""

    submission_max_driver_memory: _Memory | None = None
    """Most memory of a driver with its overhead, such as `8g`; unset: no limit."""

    submission_allowed_images: Names = ()
    """Images that a request may name, or what they begin with (a registry, a repository), separated by
    commas; `*`: any. Empty: any, too, but none once access is by tokens."""

    submission_allowed_service_accounts: Names = ()
    """Service accounts that a request may name, separated by commas; `*`: any. Empty: any, too, but none once
    access is by tokens."""

    submission_allowed_secrets: Names = ()
    """Kubernetes Secrets that a request may refer to, separated by commas, `*` standing for anything.
    Empty: any, but none once access is by tokens."""

    submission_allowed_volumes: Names = HARMLESS_VOLUMES
    """Kinds of volumes that a request may name, separated by commas. By default those of Kubernetes' Pod
    Security level "restricted": hostPath, for instance, reaches into a node and is not among them."""

    submission_allowed_main_files: Names = ()
    """Main application files that a request may name besides the bundled examples, as paths or URIs separated
    by commas, `*` standing for anything. Empty: any, but on the local Spark none once access is by tokens: a
    program there is the service's own user."""

    submission_allowed_spark_conf: Names = ()
    """Spark properties that a request may set, separated by commas, `*` standing for anything; jars, files
    and variables count by the property that they become. Empty: any but the service's own; on the local
    Spark, once access is by tokens, those of `submission/manifest/allowed.py`."""

    idempotency_key_seconds: Annotated[float, Field(ge=60, le=10 * 365 * 86_400)] = 86_400.0
    """Seconds for which an `Idempotency-Key` is remembered: the same request again is answered as before."""

    executor_hour_price: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """Price of one executor for an hour, in any currency: pages then show money beside executor-hours."""

    local_spark_cores: Annotated[int, Field(ge=1, le=1024)] = 6
    """Cores that the local Spark worker offers; may exceed the machine's where tasks mostly wait."""

    local_spark_memory: _Memory = "8g"
    """Memory that the local Spark worker offers."""

    local_spark_max_applications: Annotated[int, Field(ge=1, le=1000)] = 1
    """Applications that run at once on the local Spark; further ones wait their turn."""

    @field_validator("callback_host")
    @classmethod
    def _host(cls, value: str) -> str:
        return check_uri_host(value.strip()) if value.strip() else ""

    @field_validator("listener_jar", "examples_location")
    @classmethod
    def _path_or_uri(cls, value: str) -> str:
        if value:
            file_uri(value)
        return value

    @field_validator("callback_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr) -> SecretStr:
        return token(value)
