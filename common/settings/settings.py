"""Every setting of the service; each property is a case-insensitive environment variable.

Settings are built once, in `main.py`; everything else receives values. An unset endpoint means
the embedded default, a set one that cannot be reached stops the start. Secrets have no default.
"""

from pydantic import BaseModel, Field

from common.settings.group import PROJECT_ROOT
from common.settings.hdfs import HdfsSettings
from common.settings.kubernetes import KubernetesSettings
from common.settings.mongo import MongoSettings
from common.settings.prediction import PredictionSettings
from common.settings.server import ServerSettings
from common.settings.submission import SubmissionSettings
from common.settings.training import TrainingSettings

__all__ = ["PROJECT_ROOT", "Settings", "SubmissionSettings"]


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
