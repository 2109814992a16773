"""An environment as it is stored: packages of one content, built for one Python on one platform."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from common.models.artifacts import FileInfo
from common.mongo.document import Document, UtcTime, utc_now


class EnvironmentState(StrEnum):
    WAITING = "WAITING"
    BUILDING = "BUILDING"
    READY = "READY"
    FAILED = "FAILED"
    EVICTED = "EVICTED"
    """Its packed file has made room for others; it is built again when somebody asks for it."""


class PackedPart(FileInfo):
    """A piece of the packed file, an artifact of its own."""

    key: str


class Environment(Document):
    """What is known of an environment; its log lies beside, as it is large."""

    id: str = Field(alias="_id", serialization_alias="id")
    """SHA-256 of its requirements, the version of Python and the platform."""
    state: EnvironmentState = EnvironmentState.WAITING
    state_reason: str = ""
    requirements: list[str]
    """One a line, without comments, in the order in which they were given."""
    python_version: str
    """Such as `3.11`; drivers and executors need the same."""
    platform: str
    """The newest platform tag of the machine that builds it, such as `manylinux_2_36_x86_64`."""
    created_at: UtcTime = Field(default_factory=utc_now)
    queued_at: UtcTime = Field(default_factory=utc_now)
    started_at: UtcTime | None = None
    ended_at: UtcTime | None = None
    last_used_at: UtcTime = Field(default_factory=utc_now)
    heartbeat_at: UtcTime | None = None
    owner: str | None = None
    """The service process that builds it, or has: host, process id and start."""
    attempts: int = 0
    """Builds since it was queued, with those that a dying service cut short."""
    build: str | None = None
    """Of the present or last build: nobody finishes under another one, and its parts lie below."""
    written: list[str] = Field(default_factory=list)
    """Builds that may have left parts in the store."""
    size_bytes: int | None = None
    """Of the packed file."""
    sha256: str | None = None
    """Of the packed file."""
    parts: list[PackedPart] = Field(default_factory=list)
    """The packed file in order; complete once it is READY."""
    packages: list[str] = Field(default_factory=list)
    """What was resolved, `name==version`, sorted."""
    log_tail: str = ""
    """The last lines that its build wrote."""

    def to_mongo(self) -> dict[str, Any]:
        document = self.model_dump(by_alias=False)
        document["_id"] = document.pop("id")
        return document
