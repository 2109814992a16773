"""Training by message, for whoever asks: what has come, and sending a request oneself."""

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.auth import Principal
from common.loops import Loop
from submission.messages.documents import Json
from submission.messages.logs import LogLines
from submission.messages.replies import Replies
from submission.messages.repository import MessageRepository
from submission.program_requests import StartProgram

if TYPE_CHECKING:
    from submission.messages.broker import Broker


@dataclass(frozen=True)
class OpenBroker:
    """The configured broker, and what goes on with it."""

    broker: "Broker"
    replies: Replies
    logs: LogLines
    principal: Principal
    """Whom messages are recorded for, with what they may."""

    def loops(self) -> list[Loop]:
        """To run while the service does."""
        logs = [self.logs.loop()] if self.broker.settings.kafka_log_topic else []
        return [self.broker.loop(), self.replies.loop(), *logs]

    async def request(self, workspace: str, start: StartProgram, message_id: str | None) -> Json:
        """Send a request, as anybody else does.

        Args:
            message_id: Sent again with the same one, it is the same run; None: a new one.
        Returns:
            The message's id, and where it is: topic, partition and offset.
        Raises:
            NotAcknowledged: It may have reached the broker all the same.
        """
        found = message_id or str(uuid.uuid4())
        body: dict[str, Any] = {
            "id": found,
            "user": workspace,
            **start.model_dump(mode="json", exclude_unset=True),
        }
        topic = self.broker.settings.kafka_training_topic
        return {"id": found, **await self.broker.send("request", topic, workspace, body)}


@dataclass(frozen=True)
class TrainingMessages:
    """What is stored of messages, and the broker, where one is configured."""

    stored: MessageRepository
    opened: OpenBroker | None

    def loops(self) -> list[Loop]:
        """To run while the service does."""
        return self.opened.loops() if self.opened is not None else []
