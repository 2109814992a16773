"""Recurring submissions: each due time fires once, however many services look at it.

The next due time is stored. Whoever finds it passed moves it on and takes the firing in one write,
which succeeds for one of them; then it submits, with an idempotency key made of the schedule's name
and the due time. A service that dies in between leaves the firing behind; another one takes it over
after a while, and the key makes sure that there is one application all the same.

Of several due times that were missed while no service ran, the latest is made up for, unless the
schedule's start deadline has passed. A firing that fails because something is away is tried again
until its deadline (an hour without one), or until the next due time; one that is refused is not.

Concurrency policies are those of Kubernetes' CronJob: `allow`; `forbid` skips a firing while an
application of the schedule has not ended, or with a start deadline waits for its end that long;
`replace` ends what runs.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, AsyncMongoClient, ReturnDocument
from pymongo.errors import PyMongoError

from common.clocks import Unchanged
from common.errors import Conflict, InvalidRequest, ServiceError, Unavailable
from common.executions.repository import ExecutionRepository
from common.loops import BackOff
from common.mongo.collection import DocumentCollection, Index
from common.mongo.document import utc_now
from common.mongo.stored import Readable
from common.processes.guarded import service_identity
from common.triggers import latest_due
from submission.idempotency import NameInUse
from submission.schedule_documents import (
    Firing,
    ScheduleExists,
    ScheduleNotFound,
    ScheduleSpec,
    SubmissionSchedule,
)
from submission.service import SubmissionService
from submission.submissions import Submission, SubmitOptions

logger = logging.getLogger(__name__)

_LEASE = timedelta(seconds=120)
"""After that a firing that was taken, and of which nothing was heard, is taken over."""

_BACK_OFF = BackOff(5.0, 300.0)

_UNTIL_GIVEN_UP = timedelta(hours=1)
"""For schedules without a start deadline."""

Json = dict[str, Any]


class SubmissionSchedules:
    """Recurring submissions of one service; `tick` is to be called every few seconds."""

    def __init__(
        self,
        client: AsyncMongoClient[Json],
        database: str,
        executions: ExecutionRepository,
        submissions: SubmissionService,
    ) -> None:
        self._read = DocumentCollection(
            client, database, "submission_schedule", SubmissionSchedule, [Index("due", ["next_fire_at"])]
        )
        self._schedules = self._read.stored
        self._executions = executions
        self._submissions = submissions
        self._owner = service_identity()
        self._firings = Unchanged()
        """By schedule."""

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        await self._read.create_indexes()

    # --- what people do -----------------------------------------------------------------------------

    async def create(
        self, name: str, spec: ScheduleSpec, by: str | None = None
    ) -> tuple[SubmissionSchedule, bool]:
        """The schedule, and whether it is new: to create the same again changes nothing.

        Raises:
            InvalidRequest: What it would submit would be refused.
            ScheduleExists: One of this name says something else.
        """
        schedule = await self._checked(name, spec, by)
        before = await self._schedules.find_one_and_update(
            {"_id": name}, {"$setOnInsert": _without_id(schedule)}, upsert=True
        )
        if before is None:
            return schedule, True
        present = self._read.one(before)
        if any(getattr(present, field) != getattr(spec, field) for field in ScheduleSpec.model_fields):
            raise ScheduleExists(f"A schedule {name!r} is there already, and says something else.")
        return present, False

    async def replace(self, name: str, spec: ScheduleSpec, by: str | None = None) -> SubmissionSchedule:
        """Create it, or change what it says; a firing that is under way is given up.

        Raises:
            InvalidRequest: What it would submit would be refused.
        """
        schedule = await self._checked(name, spec, by)
        said = spec.model_dump() | {
            "next_fire_at": schedule.next_fire_at,
            "firing": None,
            "updated_at": utc_now(),
            "updated_by": by,
            "said_at": utc_now(),
        }
        rest = {key: value for key, value in _without_id(schedule).items() if key not in said}
        stored = await self._schedules.find_one_and_update(
            {"_id": name},
            {"$set": said, "$setOnInsert": rest},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return self._found(name, stored)

    async def get(self, name: str) -> SubmissionSchedule:
        """Raises ScheduleNotFound."""
        return self._found(name, await self._schedules.find_one({"_id": name}))

    async def created_by(self, name: str) -> str | None:
        """Whose it is, also where the rest of it cannot be read. Raises ScheduleNotFound."""
        document = await self._schedules.find_one({"_id": name}, {"created_by": 1})
        if document is None:
            raise _not_found(name)
        return document.get("created_by")

    async def all(self) -> Readable[SubmissionSchedule]:
        """By name."""
        cursor = self._schedules.find().sort("_id", ASCENDING)
        return await self._read.many(cursor)

    async def delete(self, name: str) -> SubmissionSchedule:
        """Its applications stay, and go on. Raises ScheduleNotFound."""
        return self._found(name, await self._schedules.find_one_and_delete({"_id": name}))

    async def pause(self, name: str, by: str | None = None) -> SubmissionSchedule:
        """Fire no more until it is resumed. Raises ScheduleNotFound."""
        changes = {"paused": True, "firing": None, "updated_at": utc_now(), "updated_by": by}
        return self._found(name, await self._change(name, changes))

    async def resume(self, name: str, by: str | None = None) -> SubmissionSchedule:
        """Go on with the next due time; those of the pause are not made up for. Raises ScheduleNotFound."""
        schedule = await self.get(name)
        if not schedule.paused:
            return schedule
        next_fire_at = schedule.trigger().next_after(utc_now())
        changes = {"paused": False, "next_fire_at": next_fire_at, "updated_at": utc_now(), "updated_by": by}
        return self._found(name, await self._change(name, changes))

    async def run_now(
        self, name: str, idempotency_key: str | None = None, by: str | None = None
    ) -> Submission:
        """Submit at once, paused or not; the due times stay as they are.

        Raises:
            ScheduleNotFound: There is none of this name.
            NameInUse: It forbids concurrency, and an application of it has not ended.
            ServiceError: As a submission does.
        """
        schedule = await self.get(name)
        given = idempotency_key or str(ObjectId())
        key = f"schedule/{name}/run/{given}"
        return await self._submit(schedule, key, None, by)

    # --- what happens by itself ---------------------------------------------------------------------

    async def tick(self) -> None:
        """Fire what is due."""
        try:
            now = utc_now()
            due = {
                "paused": False,
                "$or": [{"next_fire_at": {"$lte": now}}, {"firing": {"$ne": None}}],
            }
            found = await self._read.many(self._schedules.find(due))
            self._firings.keep({schedule.id for schedule in found})
            for schedule in found:
                await self._look_at(schedule, now)
        except PyMongoError as error:
            logger.warning("Schedules wait for MongoDB: %s", type(error).__name__)

    async def _look_at(self, schedule: SubmissionSchedule, now: datetime) -> None:
        try:
            if (taken := await self._take(schedule, now)) is not None:
                await self._fire(taken)
        except PyMongoError:
            raise
        except Exception as error:  # one schedule must not keep the others from firing
            logger.exception("Schedule %s could not be fired", schedule.id)
            failure = {"last_error": type(error).__name__, "last_error_at": utc_now()}
            await self._change(schedule.id, failure)

    async def _take(self, schedule: SubmissionSchedule, now: datetime) -> SubmissionSchedule | None:
        """The schedule with the firing that is for this service to carry out; None: there is none."""
        trigger = schedule.trigger()
        seen: Json = {"_id": schedule.id, "paused": False, "next_fire_at": schedule.next_fire_at}
        if schedule.next_fire_at <= now:
            due_at = latest_due(trigger, schedule.next_fire_at, now)
            firing = Firing(due_at=due_at, attempt=1, retry_at=now + _LEASE)
            # A clock that was set back must not make the same time due again.
            changes = {"next_fire_at": trigger.next_after(max(now, due_at))}
        elif schedule.firing is not None and self._may_be_taken(schedule.id, schedule.firing, now):
            seen |= {"firing.due_at": schedule.firing.due_at, "firing.attempt": schedule.firing.attempt}
            changes = {}
            firing = schedule.firing.model_copy(
                update={"attempt": schedule.firing.attempt + 1, "retry_at": now + _LEASE}
            )
        else:
            return None
        document = await self._schedules.find_one_and_update(
            seen,
            {"$set": {**changes, "firing": firing.model_dump()}},
            return_document=ReturnDocument.AFTER,
        )
        return self._read.one(document) if document else None

    def _may_be_taken(self, name: str, firing: Firing, now: datetime) -> bool:
        """Whether its time has come; also where that lies far ahead because a clock was set back."""
        unchanged_seconds = self._firings.seconds(name, (firing.due_at, firing.attempt, firing.retry_at))
        return firing.retry_at <= now or unchanged_seconds > _BACK_OFF.longest_seconds

    async def _fire(self, schedule: SubmissionSchedule) -> None:
        assert schedule.firing is not None, "it was taken a moment ago"
        firing = schedule.firing
        due_at = firing.due_at
        if there := await self._executions.find_scheduled(schedule.id, due_at):
            # An earlier attempt was stored, and its service died before it could say so.
            await self._started(schedule, firing, there)
            return
        if self._is_too_late(schedule, firing):
            late_seconds = (utc_now() - due_at).total_seconds()
            why = f"given up: {schedule.last_error}" if firing.failing_since else f"{late_seconds:.0f} s late"
            await self._finished(schedule, firing, f"{due_at.isoformat()}: {why}")
            return
        try:
            key = f"schedule/{schedule.id}/{due_at.isoformat()}"
            submission = await self._submit(schedule, key, due_at, schedule.created_by)
        except NameInUse as error:
            if schedule.starting_deadline_seconds is None:
                await self._finished(schedule, firing, f"{due_at.isoformat()}: skipped: {error}")
            else:
                await self._again(schedule, firing, str(error), _BACK_OFF.first_seconds)
        except (Unavailable, Conflict, PyMongoError) as error:
            detail = str(error) if isinstance(error, ServiceError) else type(error).__name__
            seconds = _BACK_OFF.seconds(firing.attempt)
            logger.warning("Schedule %s fires again in %.0f s: %s", schedule.id, seconds, detail)
            await self._again(schedule, firing, detail, seconds)
        except Exception as error:
            if not isinstance(error, ServiceError):
                logger.exception("Schedule %s could not be fired", schedule.id)
            detail = str(error) if isinstance(error, ServiceError) else type(error).__name__
            outcome = f"{due_at.isoformat()}: failed: {detail}"
            await self._finished(schedule, firing, outcome, last_error=detail, last_error_at=utc_now())
        else:
            await self._started(schedule, firing, submission.execution.id)

    def _is_too_late(self, schedule: SubmissionSchedule, firing: Firing) -> bool:
        now, deadline = utc_now(), schedule.starting_deadline_seconds
        if deadline is not None:
            return now - firing.due_at > timedelta(seconds=deadline)
        return firing.failing_since is not None and now - firing.failing_since > _UNTIL_GIVEN_UP

    async def _submit(
        self, schedule: SubmissionSchedule, key: str, due_at: datetime | None, by: str | None
    ) -> Submission:
        request = schedule.submission
        options = SubmitOptions(
            policy=request.initial_scale_out_policy,
            shadow=request.shadow,
            idempotency_key=key,
            schedule_name=schedule.id,
            scheduled_for=due_at,
            alone=schedule.concurrency_policy == "forbid",
            submitted_by=by,
            since=schedule.said_at or schedule.updated_at,
        )
        if there := await self._submissions.find_submitted(request, options):
            return there  # before anything is ended for it a second time
        if schedule.concurrency_policy != "allow":
            active = await self._executions.active_of_schedule(schedule.id)
            if active and schedule.concurrency_policy == "forbid":
                raise NameInUse(f"The application execution {', '.join(active)} has not ended.")
            for execution_id in active:
                await self._submissions.kill(execution_id, f"the schedule {schedule.id}, which replaces it")
        return await self._submissions.submit(request, options)

    async def _started(self, schedule: SubmissionSchedule, firing: Firing, execution_id: str) -> None:
        logger.info("Schedule %s: %s was due, %s", schedule.id, firing.due_at.isoformat(), execution_id)
        await self._finished(
            schedule,
            firing,
            f"{firing.due_at.isoformat()}: started {execution_id}",
            fired=1,
            last_fired_at=utc_now(),
            last_fired_by=self._owner,
            last_application_execution_id=execution_id,
            last_error=None,
        )

    async def _finished(
        self,
        schedule: SubmissionSchedule,
        firing: Firing,
        outcome: str,
        fired: int = 0,
        **fields: Any,
    ) -> None:
        """Store what came of a firing, unless it was taken over, or given up, meanwhile."""
        fields |= {"firing": None, "last_due_at": firing.due_at, "last_outcome": outcome}
        update: Json = {"$set": fields, "$inc": {"fired": fired}}
        await self._schedules.update_one({"_id": schedule.id, "firing": firing.model_dump()}, update)

    async def _again(self, schedule: SubmissionSchedule, firing: Firing, error: str, seconds: float) -> None:
        fields = {
            "firing.retry_at": utc_now() + timedelta(seconds=seconds),
            "firing.failing_since": firing.failing_since or utc_now(),
            "last_error": error,
            "last_error_at": utc_now(),
        }
        await self._schedules.update_one(
            {"_id": schedule.id, "firing": firing.model_dump()}, {"$set": fields}
        )

    async def _change(self, name: str, fields: Json) -> Json | None:
        """Change what is not what it submits: since when that was said stays."""
        values = {key: {"$literal": value} for key, value in fields.items()}
        since = {"$ifNull": ["$said_at", "$updated_at"]}
        return await self._schedules.find_one_and_update(
            {"_id": name}, [{"$set": {"said_at": since, **values}}], return_document=ReturnDocument.AFTER
        )

    async def _checked(self, name: str, spec: ScheduleSpec, by: str | None) -> SubmissionSchedule:
        trigger = spec.trigger()
        if spec.submission.name is not None:
            raise InvalidRequest("submission.name: what is submitted again and again has no name of its own.")
        await self._submissions.check(spec.submission)
        next_fire_at = trigger.next_after(utc_now())
        now = utc_now()
        return SubmissionSchedule(
            **spec.model_dump(), id=name, created_by=by, said_at=now, next_fire_at=next_fire_at
        )

    def _found(self, name: str, document: Json | None) -> SubmissionSchedule:
        """Raises ScheduleNotFound or UnreadableDocument."""
        if document is None:
            raise _not_found(name)
        return self._read.one(document)


def _not_found(name: str) -> ScheduleNotFound:
    return ScheduleNotFound(f"There is no schedule {name[:100]!r}.")


def _without_id(schedule: SubmissionSchedule) -> Json:
    return schedule.model_dump(exclude={"id"})
