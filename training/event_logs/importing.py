"""Imported runs, stored as if the plugin had reported them, by the same code."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError
from pymongo.errors import DuplicateKeyError

from common.beside import beside
from common.errors import InvalidRequest
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.driver_starts import takes_charge
from common.executions.drivers import EVENT_LOG
from common.executions.repository import ExecutionRepository
from common.wire.events import ApplicationEnded, ApplicationStarted, Count, JobEnded, ShortText, Time
from common.wire.specs import ApplicationSpecs, WireModel

_BEING_IMPORTED = "It is being imported from its event log."

_MOST_JOBS = 1000

_AT_ONCE = 64
"""Jobs that wait together: reports of drivers take turns with them."""

Json = dict[str, Any]
Event = TypeVar("Event", ApplicationStarted, JobEnded)


class RunEnd(WireModel):
    """How a run ended, as far as its log tells."""

    outcome: Literal["COMPLETED", "FAILED", "UNKNOWN"]
    end_time: Time | None = None
    reason: ShortText = ""
    ended_jobs: Count | None = None
    """Jobs that its log has the end of, where it is whole: other ids are of none."""


class RunPiece(WireModel):
    """A run of the past, or a part of its jobs."""

    specs: ApplicationSpecs
    started: Json = Field(
        examples=[
            {
                "application_id": "app-20261129050517-0000",
                "application_signature": "KMeans",
                "start_time": 1795928708189,
            }
        ]
    )
    """The `updates` of `APPLICATION_START`."""
    jobs: Annotated[list[Json], Field(max_length=_MOST_JOBS)] = Field(default_factory=list)
    """The `updates` of a `JOB_END` each; in any order, in as many pieces as one likes."""
    ended: RunEnd | None = None
    """With the last piece."""


class Imported(WireModel):
    """What came of a piece."""

    application_execution_id: str
    is_new: bool
    """Whether nothing was stored of the run before."""
    is_changed: bool
    """Whether it stands otherwise than before this piece: an attempt or the end was not known."""
    reported_by_plugin: bool
    """The run is known from its own driver: nothing was changed."""
    state: str
    jobs: int
    """Of this piece, stored now or before."""


class RunImporter:
    """Stores pieces of runs; the same piece again adds nothing."""

    def __init__(self, executions: ExecutionRepository) -> None:
        self._executions = executions

    async def take(self, piece: RunPiece, by: str | None) -> Imported:
        """Store a piece. Raises InvalidRequest where it is impossible; nothing of it is stored then."""
        started = _checked(ApplicationStarted, piece.started, "started")
        application_id = started.application_id
        jobs = await beside(_checked_jobs, piece.jobs, _attempt_id(started))
        known = await self._executions.find_by_application_id(application_id)
        if known is not None and known.runner != EVENT_LOG:
            return Imported(
                application_execution_id=known.id,
                is_new=False,
                is_changed=False,
                reported_by_plugin=True,
                state=known.state,
                jobs=0,
            )
        execution_id = execution_id_of(application_id)
        is_new = await self._insert(execution_id, piece.specs, started, by)
        before = await self._executions.get(execution_id)
        started = started.model_copy(update={"application_id": _attempt_id(started)})
        await self._reopen(before, started)
        await self._executions.apply_event(execution_id, started)
        for first in range(0, len(jobs), _AT_ONCE):
            await self._executions.apply_events(execution_id, jobs[first : first + _AT_ONCE])
        if piece.ended is not None:
            await self._end(execution_id, started, piece.ended)
        execution = await self._executions.get(execution_id)
        return Imported(
            application_execution_id=execution_id,
            is_new=is_new,
            is_changed=not is_new and _stands(before) != _stands(execution),
            reported_by_plugin=False,
            state=execution.state,
            jobs=len(jobs),
        )

    async def _insert(
        self, execution_id: str, specs: ApplicationSpecs, started: ApplicationStarted, by: str | None
    ) -> bool:
        execution = ApplicationExecution(
            _id=execution_id,
            **specs.model_dump(),
            created_at=started.start_time,  # a run is as old as it is, whenever it was imported
            state=ApplicationState.UNKNOWN,
            state_reason=_BEING_IMPORTED,
            submitted_by=by,
            runner=EVENT_LOG,
            accuracy_measured=True,  # no forecast was made of it
        )
        try:
            await self._executions.insert(execution)
        except DuplicateKeyError:
            return False
        return True

    async def _reopen(self, execution: ApplicationExecution, started: ApplicationStarted) -> None:
        """A later attempt is what becomes of a run: how an earlier one ended says nothing of it any more."""
        is_known = execution.application_id in (None, started.application_id)
        if is_known or not execution.state.is_final or not takes_charge(execution, started):
            return
        begun = {"state": ApplicationState.UNKNOWN.value, "state_reason": _BEING_IMPORTED}
        ends = dict.fromkeys(("end_time", "platform_end_time", "end_noticed_at", "ended_jobs"))
        fields = {**begun, **ends, "end_time_inferred": False}
        await self._executions.note(execution.id, fields, only_in=execution.state)

    async def _end(self, execution_id: str, started: ApplicationStarted, end: RunEnd) -> None:
        if end.outcome != ApplicationState.UNKNOWN and end.end_time is not None:
            # As its plugin would have told it, also of an attempt that a later one has followed.
            told_end = ApplicationEnded(
                application_id=started.application_id, end_time=end.end_time, ended_jobs=end.ended_jobs
            )
            await self._executions.apply_event(execution_id, told_end)
        execution = await self._executions.get(execution_id)
        if execution.application_id != started.application_id:
            return  # of an attempt that a later one has followed
        state = ApplicationState(end.outcome)
        if state is ApplicationState.UNKNOWN:
            await self._executions.note(execution_id, {"state_reason": end.reason})
            return
        told: Json = {"end_time": end.end_time, "ended_jobs": end.ended_jobs}
        fields = {name: value for name, value in told.items() if value is not None}
        is_new = await self._executions.record_state(
            execution_id, state, end.reason, at=end.end_time, fields=fields
        )
        if not is_new and end.ended_jobs is not None:  # versions before this one imported it without that
            await self._executions.note(execution_id, {"ended_jobs": end.ended_jobs}, only_in=state)


def _stands(execution: ApplicationExecution) -> tuple[object, ...]:
    return execution.state, execution.end_time, execution.driver_start_count if execution.driver_starts else 1


def execution_id_of(application_id: str) -> str:
    """The same for the same application, so that importing twice adds nothing."""
    return hashlib.sha256(f"event log of {application_id}".encode()).hexdigest()[:24]


def _attempt_id(started: ApplicationStarted) -> str:
    """Spark on YARN gives all attempts of a driver one id, and their jobs the same numbers: later attempts
    are told apart, as elsewhere, by an id of their own."""
    attempt = started.attempt_id or 0
    return started.application_id if attempt < 2 else f"{started.application_id}_{attempt}"


def _checked_jobs(jobs: Sequence[Json], application_id: str) -> list[JobEnded]:
    """Thousands of stages are a tenth of a second's work."""
    return [
        _checked(JobEnded, {**job, "application_id": application_id}, f"jobs.{number}")
        for number, job in enumerate(jobs)
    ]


def _checked(kind: type[Event], value: Json, place: str) -> Event:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        [first, *_] = error.errors()
        inner = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(f"{place}.{inner}: {first['msg']}") from error
