"""Every setting of the service; each property is a case-insensitive environment variable.

Settings are built once, in `main.py`; everything else receives values. An unset endpoint means
the embedded default, a set one that cannot be reached stops the start. Secrets have no default.
"""

from pydantic import BaseModel, Field

from common.addresses import check_uri_host, is_loopback
from common.errors import StartError
from common.settings.access import AccessSettings
from common.settings.environments import EnvironmentSettings
from common.settings.group import PROJECT_ROOT
from common.settings.hdfs import HdfsSettings
from common.settings.kubernetes import KubernetesSettings
from common.settings.messages import MessageSettings
from common.settings.mongo import MongoSettings
from common.settings.prediction import PredictionSettings
from common.settings.programs import ProgramSettings
from common.settings.server import ServerSettings
from common.settings.serving import ServingSettings
from common.settings.submission import SubmissionSettings
from common.settings.training import TrainingSettings
from common.settings.workspaces import WorkspaceSettings

__all__ = ["PROJECT_ROOT", "Settings", "SubmissionSettings"]


class Settings(BaseModel):
    """All groups; environment names stay flat (`MONGODB_ENDPOINT`)."""

    server: ServerSettings = Field(default_factory=ServerSettings)
    access: AccessSettings = Field(default_factory=AccessSettings)
    mongo: MongoSettings = Field(default_factory=MongoSettings)
    hdfs: HdfsSettings = Field(default_factory=HdfsSettings)
    kubernetes: KubernetesSettings = Field(default_factory=KubernetesSettings)
    submission: SubmissionSettings = Field(default_factory=SubmissionSettings)
    environments: EnvironmentSettings = Field(default_factory=EnvironmentSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    programs: ProgramSettings = Field(default_factory=ProgramSettings)
    messages: MessageSettings = Field(default_factory=MessageSettings)
    prediction: PredictionSettings = Field(default_factory=PredictionSettings)
    serving: ServingSettings = Field(default_factory=ServingSettings)
    workspaces: WorkspaceSettings = Field(default_factory=WorkspaceSettings)

    @property
    def callback_address(self) -> tuple[str, int]:
        """Host and port that Spark drivers report to.

        Raises:
            StartError: It is HOST, under which no driver could.
        """
        host = self.submission.callback_host or self.server.host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - nothing is bound here
            host = "127.0.0.1"
        try:
            check_uri_host(host)
        except ValueError as error:  # CALLBACK_HOST itself was checked when it was read
            raise StartError(f"HOST: {error}. Set CALLBACK_HOST to another name of this machine.") from None
        return host, self.submission.callback_port or self.server.port

    @property
    def access_by_tokens(self) -> bool:
        """Whether who asks has to show a token.

        Raises:
            StartError: Nothing says so, and the service is to be reached from elsewhere.
        """
        control = self.access.access_control
        if control == "auto" and self.access.admin_token.get_secret_value():
            return True
        if control == "auto" and not is_loopback(self.server.host):
            raise StartError(
                f"HOST: {self.server.host} is more than loopback, and whoever reaches the service could run"
                " commands here. Set ADMIN_TOKEN to a token of your own (openssl rand -hex 32), or"
                " ACCESS_CONTROL=tokens, which prints one."
            )
        return control == "tokens"
