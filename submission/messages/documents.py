"""Messages as they come, and what is stored of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field

from common.mongo.document import Document, UtcTime, utc_now

Json = dict[str, Any]

EXCERPT_BYTES = 4096
"""Of a message that starts nothing: what is kept of its content."""


@dataclass(frozen=True)
class Record:
    """A message as the broker hands it over."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None = None
    value: bytes | None = None
    """None: a tombstone."""
    headers: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def position(self) -> str:
        """What no other message has; with the time, since a topic that is made anew begins at 0 again."""
        return f"{self.topic}/{self.partition}/{self.offset}/{self.timestamp_ms}"

    @property
    def excerpt(self) -> str:
        """The beginning of its content, as text."""
        return (self.value or b"")[:EXCERPT_BYTES].decode(errors="replace").replace("\0", "�")


class MessageState(StrEnum):
    RECEIVED = "RECEIVED"
    """Stored; its run is just being submitted."""
    STARTED = "STARTED"
    """It has become a run."""
    UNREADABLE = "UNREADABLE"
    """Set aside: nobody can tell what it asks for."""
    REFUSED = "REFUSED"
    """Set aside: what it asks for cannot be done, or not by messages."""

    @property
    def is_set_aside(self) -> bool:
        return self in (self.UNREADABLE, self.REFUSED)


class TrainingMessage(Document):
    """One message, and what has become of it."""

    unknown_values: ClassVar[Mapping[str, str]] = {"state": MessageState.RECEIVED.value}

    id: str = Field(alias="_id")
    """Of its topic and its own id, otherwise of its position: sent or handed over again, it is the same."""
    topic: str
    partition: int
    offset: int
    key: str | None = None
    own_id: str | None = None
    """Which it says it has."""
    sha256: str
    """Of its content."""
    workspace: str | None = None
    state: MessageState = MessageState.RECEIVED
    execution_id: str | None = None
    """The run that it becomes: chosen before that is submitted, so that it is never submitted as two."""
    problem: str = ""
    """Why it was set aside."""
    excerpt: str = ""
    """The beginning of what was set aside."""
    created_at: UtcTime = Field(default_factory=utc_now)
    """When it was received."""
    open: bool = False
    """Whether something is still to be sent about it."""
    states_sent: int = 0
    """Changes of its run's state that the broker has acknowledged."""
    result_sent: bool = False
    """Whether it has acknowledged the run's result, or the copy of a message that was set aside."""
    sender: str | None = None
    """The service that sends them, or did last."""
    sending_until: UtcTime | None = None
    """Until when nobody else does."""
    log_lines_sent: int = 0
    log_sent: bool = False
    """Whether all of its run's log was sent."""
    log_sender: str | None = None
    log_until: UtcTime | None = None
