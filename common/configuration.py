"""Every setting of the service; each property is a case-insensitive environment variable.

Settings are built once, in `main.py`; everything else receives values. An unset endpoint means
the embedded default, a set one that cannot be reached stops the start. Secrets have no default.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parent.parent

Port = Annotated[int, Field(ge=1, le=65535)]


class _Group(BaseSettings):
    model_config = SettingsConfigDict(case_sensitive=False, env_ignore_empty=True, extra="ignore")


class ServerSettings(_Group):
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

    @field_validator("logging_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


class MongoSettings(_Group):
    """Where runs, jobs, decisions and trainings are kept."""

    mongodb_endpoint: str = ""
    """Host of the MongoDB to use (a replica set: transactions are needed); empty starts an embedded one."""

    mongodb_port: Port = 27017
    """TCP port of that host; the embedded MongoDB takes a free port."""

    mongodb_username: str = ""
    """Empty connects without authentication."""

    mongodb_password: SecretStr = SecretStr("")
    """Password of that user."""

    mongodb_database: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^/\\. \"$*<>:|?]+$")] = (
        "enel_service"
    )
    """Name of the database."""

    mongodb_timeout_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Seconds until an operation on an unreachable MongoDB is answered with 503."""


class HdfsSettings(_Group):
    """Where models are kept."""

    hdfs_endpoint: str = ""
    """WebHDFS address, such as http://namenode:9870; empty keeps models in a folder below
    DATA_DIR. For now it is only checked, and then refused."""

    hdfs_output_dir: str = "/enel_service"
    """Folder in HDFS below which models are written."""


class KubernetesSettings(_Group):
    """Where applications run."""

    kubernetes_endpoint: str = ""
    """Address of the API server; empty (and no KUBECONFIG) runs applications on a local
    Spark. For now it is only checked, and then refused."""

    kubernetes_namespace: str = "default"
    """Namespace of the SparkApplication resources."""

    kubernetes_api_key: SecretStr = SecretStr("")
    """Token for KUBERNETES_ENDPOINT."""

    kubernetes_api_key_prefix: str = "Bearer"
    """What precedes the token in the Authorization header."""

    kubeconfig: str = ""
    """Path of a kubeconfig file, instead of KUBERNETES_ENDPOINT. For now it is refused."""


class SubmissionSettings(_Group):
    """How applications are submitted."""

    callback_host: str = ""
    """Host under which Spark drivers reach this service; empty: HOST, or loopback when HOST is 0.0.0.0."""

    callback_port: Port | None = None
    """Port under which Spark drivers reach this service; unset: PORT."""

    callback_timeout_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Seconds until a driver gives up on one report and tries again."""

    listener_jar: str = str(PROJECT_ROOT / "listener" / "build" / "enel-listener.jar")
    """The Spark plugin, as a path or URL that the driver can read."""

    local_spark_cores: Annotated[int, Field(ge=1, le=1024)] = 6
    """Cores that the local Spark worker offers; may exceed the machine's where tasks mostly wait."""

    local_spark_memory: Annotated[str, Field(pattern=r"^[1-9][0-9]*[mg]$")] = "8g"
    """Memory that the local Spark worker offers."""

    local_spark_max_applications: Annotated[int, Field(ge=1)] = 1
    """Applications that run at once on the local Spark; further ones wait their turn."""


class TrainingSettings(_Group):
    """Pretraining."""

    training_trials: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Hyperparameter trials of one training, unless the request says otherwise; unset: those of
    training/onlinepredictor_config.py (40)."""

    training_concurrent_trials: Annotated[int, Field(ge=1, le=256)] = 2
    """Trials that run at once; each takes one core."""

    training_seed: int = 0
    """Seed of the search and of every trial: the same history gives the same model."""

    training_max_history_runs: Annotated[int, Field(ge=1)] = 200
    """Most recent runs that a training reads."""

    training_heartbeat_seconds: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between heartbeats of a training; after five missed ones it counts as dead."""


class PredictionSettings(_Group):
    """Online recommendations."""

    prediction_workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that fine-tune and forecast; each takes one core and about 300 MB."""

    prediction_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Seconds for fine-tuning and forecasting; then the worker is replaced, and nothing recommended."""

    prediction_cache_entries: Annotated[int, Field(ge=1)] = 32
    """Models kept in memory."""

    target_confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.8
    """Chance of meeting the runtime target that a scale-out must have to be chosen."""

    scale_in_confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    """The same for a scale-out below the present one: a wrong scale-in is costly to mend."""

    scale_in_reserve_seconds: Annotated[float, Field(ge=0)] = 10.0
    """Seconds that a scale-out below the present one has to leave until the target: about what it
    takes to get an executor back."""


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
