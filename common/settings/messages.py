"""Settings of training by message: the broker, its topics, and who asks."""

import ssl
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from common.errors import StartError
from common.forms import Form
from common.settings.group import SettingsGroup, Timeout

_Topic = Annotated[
    str,
    Field(max_length=249),
    Form(r"^([a-zA-Z0-9._-]*[a-zA-Z0-9_-][a-zA-Z0-9._-]*)?$", "a topic, such as enel-training"),
]

_SERVER = Form(
    r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}(,(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5})*$|^$",
    "servers as host:port, separated by commas, such as kafka-1:9092,kafka-2:9092",
)


class MessageSettings(SettingsGroup):
    """Where training requests come from besides HTTP."""

    kafka_endpoint: Annotated[str, _SERVER] = ""
    """Bootstrap servers of the Kafka that people send training requests to, such as
    kafka-1:9092,kafka-2:9092. Empty: requests come over HTTP alone."""

    kafka_training_topic: Annotated[_Topic, Field(min_length=1)] = "enel-training"
    """Topic that requests are read from."""

    kafka_reply_topic: Annotated[_Topic, Field(min_length=1)] = "enel-training-state"
    """Topic that states and results of runs go to, where a message started them."""

    kafka_log_topic: _Topic = ""
    """Topic that lines of these runs' logs go to; empty: none."""

    kafka_dead_letter_topic: _Topic = ""
    """Topic that messages are copied to which start nothing, with the reason; empty: they are only stored and
    shown."""

    kafka_group: Annotated[str, Field(min_length=1, max_length=249)] = "enel-service"
    """Consumer group of the services that share the topic: the same for all of one database."""

    kafka_runs_as: Annotated[str, Field(min_length=1, max_length=100)] = "kafka"
    """Who messages are recorded for (`submitted_by`). Once access is by tokens they run programs of those
    workspaces alone among whose runners this name is, or `*`."""

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to connect."""

    kafka_ca_file: str = ""
    """File with the certificate authorities to trust instead of the public ones (PEM)."""

    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """How the user shows who they are."""

    kafka_sasl_username: str = ""
    """User of SASL."""

    kafka_sasl_password: SecretStr = SecretStr("")
    """Password of that user."""

    kafka_timeout_seconds: Timeout = 10.0
    """Seconds until a broker that does not answer counts as away."""

    @property
    def uses_tls(self) -> bool:
        return self.kafka_security_protocol in ("SSL", "SASL_SSL")

    @property
    def uses_sasl(self) -> bool:
        return self.kafka_security_protocol.startswith("SASL_")

    @property
    def servers(self) -> list[str]:
        """Bootstrap servers, each as host:port."""
        return [server.strip() for server in self.kafka_endpoint.split(",") if server.strip()]

    def tls_context(self) -> ssl.SSLContext | None:
        """What certificates are checked with; None: nothing is encrypted.

        Raises:
            StartError: KAFKA_CA_FILE is of no use.
        """
        if not self.uses_tls:
            return None
        try:
            return ssl.create_default_context(cafile=self.kafka_ca_file or None)
        except (OSError, ValueError) as error:
            why = "holds no certificates" if isinstance(error, ssl.SSLError) else "cannot be read"
            raise StartError(f"KAFKA_CA_FILE: the file {why}.") from error

    def check_user(self) -> None:
        """Raises StartError where a user is needed, and none is given."""
        if self.uses_sasl and not (self.kafka_sasl_username and self.kafka_sasl_password.get_secret_value()):
            raise StartError(
                f"KAFKA_SASL_USERNAME: {self.kafka_security_protocol} needs it, and KAFKA_SASL_PASSWORD."
            )

    @field_validator("kafka_ca_file")
    @classmethod
    def _used_by_tls(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("kafka_security_protocol") in ("PLAINTEXT", "SASL_PLAINTEXT"):
            raise ValueError("nothing is encrypted: set KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL")
        return value

    @field_validator("kafka_sasl_password")
    @classmethod
    def _used_by_sasl(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        has_user = bool(info.data.get("kafka_sasl_username"))
        if _uses_sasl(info) and not (has_user and value.get_secret_value()):
            raise ValueError("SASL needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")
        if not _uses_sasl(info) and value.get_secret_value():
            raise ValueError(_NOT_ASKED_FOR)
        return value

    @field_validator("kafka_sasl_username")
    @classmethod
    def _asked_for(cls, value: str, info: ValidationInfo) -> str:
        if value and not _uses_sasl(info):
            raise ValueError(_NOT_ASKED_FOR)
        return value

    @field_validator("kafka_reply_topic", "kafka_log_topic", "kafka_dead_letter_topic")
    @classmethod
    def _not_read_again(cls, value: str, info: ValidationInfo) -> str:
        if value and value == info.data.get("kafka_training_topic"):
            raise ValueError("the topic that requests are read from: the service would answer itself")
        return value


_NOT_ASKED_FOR = "nobody asks for it: set KAFKA_SECURITY_PROTOCOL to SASL_SSL or SASL_PLAINTEXT"


def _uses_sasl(info: ValidationInfo) -> bool:
    return str(info.data.get("kafka_security_protocol")).startswith("SASL_")
