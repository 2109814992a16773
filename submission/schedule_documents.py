"""A recurring submission: what a request says of it, and how it is stored."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_serializer

from common.errors import Conflict, InvalidRequest, NotFound
from common.mongo.document import Document, UtcTime, utc_now
from common.triggers import Cron
from common.wire.specs import RequestModel, Seconds
from submission.requests import SubmitRequest

ConcurrencyPolicy = Literal["allow", "forbid", "replace"]


class ScheduleNotFound(NotFound):
    title = "Unknown schedule"


class ScheduleExists(Conflict):
    title = "There is another schedule of this name"


class ScheduleSpec(RequestModel):
    """What is submitted, and when."""

    cron: Annotated[str, Field(max_length=100, examples=["30 2 * * 1-5"])]
    """Five fields, as for cron; Sunday is 0. Or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`."""
    time_zone: Annotated[str, Field(max_length=100, examples=["Europe/Berlin"])] = "UTC"
    concurrency_policy: ConcurrencyPolicy = "allow"
    """What happens when it is due while an application of it has not ended."""
    starting_deadline_seconds: Seconds | None = None
    """How late a firing may be; null: any that was missed is made up for, the latest one."""
    paused: bool = False
    submission: SubmitRequest
    """The body of a submission, with its own runtime target; without a `name`."""

    @field_serializer("submission")
    def _as_it_was_sent(self, submission: SubmitRequest) -> dict[str, Any]:
        # What was left out is decided when it is submitted.
        return submission.model_dump(mode="json", exclude_unset=True)

    def trigger(self) -> Cron:
        """Raises InvalidRequest."""
        try:
            return Cron.parse(self.cron, self.time_zone)
        except ValueError as error:
            raise InvalidRequest(f"cron, time_zone: {error}.") from error

    @property
    def in_words(self) -> str:
        """Raises InvalidRequest."""
        return self.trigger().in_words

    def next_due(self, after: datetime, times: int) -> list[datetime]:
        """The next due times, the soonest first. Raises InvalidRequest."""
        trigger, due = self.trigger(), [after]
        for _ in range(times):
            due.append(trigger.next_after(due[-1]))
        return due[1:]


class Firing(BaseModel):
    """A due time that was taken, until it is known what came of it."""

    due_at: UtcTime
    attempt: int = 0
    retry_at: UtcTime
    """When it may be taken (again)."""
    failing_since: UtcTime | None = None


class SubmissionSchedule(Document, ScheduleSpec):
    """A recurring submission, and what came of it."""

    id: str = Field(alias="_id", serialization_alias="name")
    created_at: UtcTime = Field(default_factory=utc_now)
    created_by: str | None = None
    """Who asked for it first."""
    updated_at: UtcTime = Field(default_factory=utc_now)
    updated_by: str | None = None
    """Who asked last for a change."""
    said_at: UtcTime | None = None
    """When somebody who might said what it submits; null: `updated_at`, of versions before."""
    next_fire_at: UtcTime
    firing: Firing | None = None
    last_due_at: UtcTime | None = None
    """The due time that was last dealt with."""
    last_fired_at: UtcTime | None = None
    """When it last led to an application."""
    last_fired_by: str | None = None
    """Host, process id and start of the service that did so."""
    last_application_execution_id: str | None = None
    last_outcome: str = ""
    """What was done, or why nothing."""
    last_error: str | None = None
    """Of the latest attempt; null after one that worked."""
    last_error_at: UtcTime | None = None
    fired: int = 0
    """How many applications it has started by itself."""
