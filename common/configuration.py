"""Every setting of the service; each property is a case-insensitive environment variable.

Settings are built once, in `main.py`; everything else receives values. An unset endpoint means
the embedded default, a set one that cannot be reached stops the start. Secrets have no default.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import from_json
from pydantic_settings import NoDecode

from common.addresses import check_host, http_address
from common.mongo_settings import MongoSettings
from common.settings_group import PROJECT_ROOT, Port, SettingsGroup, Timeout
from common.submission_settings import SubmissionSettings
from common.triggers import Cron, Every

__all__ = ["PROJECT_ROOT", "Settings", "SubmissionSettings"]

Namespace = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""Of Kubernetes: a DNS-1123 label."""


class ServerSettings(SettingsGroup):
    """The HTTP server."""

    host: str = "127.0.0.1"
    """Address to listen on. Loopback only, unless set: the API has no authentication of its own."""

    port: Port = 5000
    """TCP port to listen on."""

    logging_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    """Least severe level that is logged."""

    data_dir: Path = PROJECT_ROOT / ".enel"
    """Folder for everything embedded: MongoDB's files, models, driver logs, training folders."""

    max_body_bytes: Annotated[int, Field(ge=1024)] = 8 * 1024 * 1024
    """Bytes. Largest request body; a job with a thousand stages needs about half a megabyte."""

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        return check_host(value.strip())

    @field_validator("logging_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


class HdfsSettings(SettingsGroup):
    """Where models are kept."""

    hdfs_endpoint: str = ""
    """WebHDFS address, such as http://namenode:9870; several NameNodes are separated by `;`. Empty
    keeps models in a folder below DATA_DIR."""

    hdfs_output_dir: str = "/enel_service"
    """Folder in HDFS below which models are written."""

    hdfs_user: str = ""
    """User to act as where HDFS trusts its clients; empty: the user that runs the service."""

    hdfs_token: SecretStr = SecretStr("")
    """Delegation token to authenticate with."""

    hdfs_kerberos: bool = False
    """Authenticate with the Kerberos ticket of the process; needs the package requests-kerberos."""

    hdfs_tls_verify: bool = True
    """Whether certificates of https addresses are checked; without that, anyone can pretend to be HDFS."""

    hdfs_ca_file: str = ""
    """File with the certificate authorities to trust instead of the public ones (PEM)."""

    hdfs_timeout_seconds: Timeout = 10.0
    """Seconds to wait for a connection, and for each piece of an answer; then 503."""

    @field_validator("hdfs_endpoint")
    @classmethod
    def _http_addresses(cls, value: str) -> str:
        parts = value.split(";") if value.strip() else []
        addresses = [http_address(part.strip(), _WEBHDFS) for part in parts]
        return ";".join(dict.fromkeys(addresses))  # the client would never stop asking the same one twice

    @field_validator("hdfs_output_dir")
    @classmethod
    def _absolute_folder(cls, value: str) -> str:
        names = value.rstrip("/").split("/")[1:]
        if not value.startswith("/"):
            raise ValueError("a folder in HDFS is an absolute path, such as /enel_service")
        if any(
            name in ("", ".", "..") or not name.isprintable() or set(name) & set(":#%?;") for name in names
        ):
            raise ValueError("not a path of a folder in HDFS")
        return "/" + "/".join(names)

    @field_validator("hdfs_token")
    @classmethod
    def _token_says_who(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        token = value.get_secret_value().strip()
        if token and info.data.get("hdfs_user"):
            raise ValueError("a token says whose it is: unset HDFS_USER or HDFS_TOKEN")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("not a delegation token")
        return SecretStr(token)

    @field_validator("hdfs_kerberos")
    @classmethod
    def _one_way_to_authenticate(cls, value: bool, info: ValidationInfo) -> bool:
        token = info.data.get("hdfs_token")
        if value and token is not None and token.get_secret_value():
            raise ValueError("Kerberos and a token exclude each other: unset HDFS_KERBEROS or HDFS_TOKEN")
        if value and info.data.get("hdfs_user"):
            raise ValueError("a Kerberos ticket says whose it is: unset HDFS_USER or HDFS_KERBEROS")
        return value

    @field_validator("hdfs_ca_file")
    @classmethod
    def _used_to_verify(cls, value: str, info: ValidationInfo) -> str:
        if value and not info.data.get("hdfs_tls_verify", True):
            raise ValueError("certificates are not checked at all: unset HDFS_CA_FILE or HDFS_TLS_VERIFY")
        return value


_WEBHDFS = "WebHDFS has one such as http://namenode:9870"


class KubernetesSettings(SettingsGroup):
    """Where applications run: on Kubernetes where one of three ways to connect is given, else here."""

    kubeconfig: str = ""
    """Path of a kubeconfig file: its current context says where the API server is, and who asks."""

    kubernetes_endpoint: str = ""
    """Address of the API server, such as https://10.0.0.1:6443, instead of KUBECONFIG."""

    kubernetes_api_key: SecretStr = SecretStr("")
    """Token for KUBERNETES_ENDPOINT."""

    kubernetes_api_key_prefix: str = "Bearer"
    """What precedes the token in the Authorization header."""

    kubernetes_in_cluster: bool = False
    """Connect as the service account of the pod that the service runs in. Never by itself: a pod nearly
    always has one, and applications would silently move from the local Spark to the cluster."""

    kubernetes_namespace: Namespace = "default"
    """Namespace of the SparkApplication resources."""

    kubernetes_namespaces: Annotated[tuple[Namespace, ...], NoDecode] = ()
    """Further namespaces that a request may name, separated by commas."""

    kubernetes_tls_verify: bool = True
    """Whether the API server's certificate is checked; without that, anyone can pretend to be it."""

    kubernetes_ca_file: str = ""
    """File with the certificate authorities to trust instead of the public ones (PEM)."""

    kubernetes_timeout_seconds: Timeout = 10.0
    """Seconds to wait for an answer of the API server; what is safe to repeat is repeated, then 503."""

    operator_pickup_timeout_seconds: Timeout = 60.0
    """Seconds until an application that the spark-operator has not looked at is shown as NOT_PICKED_UP."""

    @property
    def is_configured(self) -> bool:
        return bool(self.kubeconfig or self.kubernetes_endpoint or self.kubernetes_in_cluster)

    @property
    def setting(self) -> str:
        """The one that says how to connect."""
        if self.kubeconfig:
            return "KUBECONFIG"
        return "KUBERNETES_ENDPOINT" if self.kubernetes_endpoint else "KUBERNETES_IN_CLUSTER"

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All that applications may run in; the first is where they run unless a request names another."""
        return tuple(dict.fromkeys((self.kubernetes_namespace, *self.kubernetes_namespaces)))

    @field_validator("kubernetes_endpoint")
    @classmethod
    def _one_connection(cls, value: str, info: ValidationInfo) -> str:
        if not value.strip():
            return ""
        if info.data.get("kubeconfig"):
            raise ValueError("there are two ways to connect: unset KUBECONFIG or KUBERNETES_ENDPOINT")
        return http_address(value.strip(), "an API server has one such as https://10.0.0.1:6443", "https")

    @field_validator("kubernetes_api_key")
    @classmethod
    def _token_for_the_endpoint(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        token = value.get_secret_value().strip()
        if token and not info.data.get("kubernetes_endpoint"):
            raise ValueError("it belongs to KUBERNETES_ENDPOINT, which is not set")
        if not token.isascii() or (token and not token.isprintable()):
            raise ValueError("not a token")
        return SecretStr(token)

    @field_validator("kubernetes_in_cluster")
    @classmethod
    def _only_connection(cls, value: bool, info: ValidationInfo) -> bool:
        if value and (info.data.get("kubeconfig") or info.data.get("kubernetes_endpoint")):
            raise ValueError("it excludes KUBECONFIG and KUBERNETES_ENDPOINT")
        return value

    @field_validator("kubernetes_namespaces", mode="before")
    @classmethod
    def _separated_by_commas(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name.strip() for name in value.split(",") if name.strip())

    @field_validator("kubernetes_ca_file")
    @classmethod
    def _used_to_verify(cls, value: str, info: ValidationInfo) -> str:
        if value and not info.data.get("kubernetes_tls_verify", True):
            raise ValueError(
                "certificates are not checked at all: unset KUBERNETES_CA_FILE or KUBERNETES_TLS_VERIFY"
            )
        return value


class TrainingSettings(SettingsGroup):
    """Pretraining."""

    training_trials: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Hyperparameter trials of one training, unless the request says otherwise; unset: those of
    training/search/config.py (40)."""

    training_concurrent_trials: Annotated[int, Field(ge=1, le=256)] = 2
    """Trials that run at once; each takes one core. Up to four, their number does not change the model."""

    training_seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of the search and of every trial: the same history gives the same model."""

    training_max_history_runs: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Most recent runs that a training reads; it learns from the last 60 of them that can be used."""

    training_heartbeat_seconds: Timeout = 2.0
    """Seconds between heartbeats of a training; after five missed ones it counts as dead."""

    training_interval: str = ""
    """Train every algorithm anew that often, such as `24h` or `7d` (a number alone is seconds), where
    there was something new to learn from; empty: only by request."""

    training_schedules: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)
    """Cron expressions by algorithm, in place of the interval, as JSON: `{"KMeans": "0 3 * * *"}`."""

    training_time_zone: str = "UTC"
    """Time zone of the cron expressions, such as `Europe/Berlin`."""

    promotion_tolerance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share by which a new model version's error may exceed the present one's for it to serve."""

    @property
    def interval(self) -> Every | None:
        return Every.parse(self.training_interval) if self.training_interval else None

    @property
    def cron_schedules(self) -> dict[str, Cron]:
        """By algorithm."""
        return {
            algorithm: Cron.parse(expression, self.training_time_zone)
            for algorithm, expression in self.training_schedules.items()
        }

    @field_validator("training_interval")
    @classmethod
    def _interval(cls, value: str) -> str:
        if value:
            Every.parse(value)
        return value

    @field_validator("training_schedules", mode="before")
    @classmethod
    def _json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return from_json(value)
        except ValueError as error:
            raise ValueError('not JSON, such as {"KMeans": "0 3 * * *"}') from error

    @field_validator("training_schedules")
    @classmethod
    def _cron_expressions(cls, value: dict[str, str]) -> dict[str, str]:
        for expression in value.values():
            Cron.parse(expression)
        return value

    @field_validator("training_time_zone")
    @classmethod
    def _time_zone(cls, value: str) -> str:
        return Cron.parse("0 0 * * *", value).time_zone


class PredictionSettings(SettingsGroup):
    """Online recommendations."""

    prediction_workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that fine-tune and forecast; each takes one core and about 430 MB."""

    prediction_timeout_seconds: Timeout = 10.0
    """Seconds for fine-tuning and forecasting; then the worker is replaced, and Ernest's curves answer."""

    prediction_wait_seconds: Annotated[float, Field(gt=0)] = 20.0
    """Seconds beyond PREDICTION_TIMEOUT_SECONDS for which a forecast waits for a worker; then it fails."""

    prediction_cache_entries: Annotated[int, Field(ge=1)] = 32
    """Model versions kept in memory."""

    prediction_cache_bytes: Annotated[int, Field(ge=1)] = 512 * 1024 * 1024
    """Bytes of model versions kept in memory; a version that is larger alone is read every time."""

    target_confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.97
    """Chance of meeting the runtime target that a scale-out must have to be chosen; stalls aside that befall
    runs with any scale-out."""

    stay_confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.97
    """The same for the present scale-out; lower values rescale less often, and miss more. At most
    `TARGET_CONFIDENCE`."""

    scale_in_confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.97
    """The same for a scale-out below the present one: a wrong scale-in is costly to mend. At least
    `TARGET_CONFIDENCE`."""

    scale_in_reserve_seconds: Annotated[float, Field(ge=0)] = 10.0
    """Seconds that a scale-out below the present one has to leave until the target: about what it
    takes to get an executor back."""

    scale_in_least_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the executors that a scale-in has to free; less is not worth moving tasks and cached data."""

    rescaling_cost_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Seconds that every rescaling is taken to cost beyond what the forecast has of it."""

    max_rescalings: Annotated[int, Field(ge=1)] = 20
    """Rescalings of one run; the last one is kept for a scale-out."""

    infeasible_target: Literal["fastest", "cheapest"] = "fastest"
    """What a run gets whose target is out of reach."""

    give_up_chance: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """With `cheapest`: chance of meeting the target below which, with every scale-out, it is out of reach.
    A run with a larger one gets the fastest."""

    fastest_tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the time that may be given up for saving half of the executors, and again for half of what is
    left: a smaller scale-out that is no slower than that counts as the fastest, where none is sure enough,
    and where only the fastest is. 0: always the fastest, whatever it costs."""

    static_margin: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of the runtime target that the scale-out of a run with `static_margin` is chosen for."""


class Settings(BaseModel):
    """All groups; environment names stay flat (`MONGODB_ENDPOINT`)."""

    server: ServerSettings = Field(default_factory=ServerSettings)
    mongo: MongoSettings = Field(default_factory=MongoSettings)
    hdfs: HdfsSettings = Field(default_factory=HdfsSettings)
    kubernetes: KubernetesSettings = Field(default_factory=KubernetesSettings)
    submission: SubmissionSettings = Field(default_factory=SubmissionSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    prediction: PredictionSettings = Field(default_factory=PredictionSettings)

    @property
    def callback_address(self) -> tuple[str, int]:
        """Host and port that Spark drivers report to."""
        host = self.submission.callback_host or self.server.host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - nothing is bound here
            host = "127.0.0.1"
        return host, self.submission.callback_port or self.server.port
