"""Periodic trainings: each schedule fires once, however many services look at it.

The next due time is stored. Whoever finds it passed moves it on and queues the training in one
transaction, which succeeds for one of them. Times missed while no service ran are made up for once.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field
from pymongo import ASCENDING, AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from common.executions.repository import ExecutionRepository
from common.models.registry import ModelRegistry
from common.models.versions import TrainingData, model_name
from common.mongo.collection import DocumentCollection
from common.mongo.document import Document, UtcTime, utc_now
from common.mongo.stored import Readable
from common.mongo.transactions import in_transaction
from common.processes.guarded import service_identity
from common.triggers import Every, Trigger
from training.history.digests import RunDigests
from training.kinds import Kinds, TrainableKind
from training.runs.repository import TrainingRunRepository

logger = logging.getLogger(__name__)

_SYSTEM = "spark"
"""What all algorithms run on."""

_SAME_JOB = timedelta(seconds=1)
"""Times of jobs went through seconds as floating point numbers on their way into the registry."""


class TrainingSchedule(Document):
    """When an algorithm is trained next, and what came of the last time."""

    id: str = Field(alias="_id", serialization_alias="id")
    """System, algorithm and trigger: services with other settings keep schedules of their own."""
    system_name: str
    algorithm_name: str
    trigger: str
    """Such as `every 24h`, or `cron 0 3 * * * (UTC)`."""
    next_fire_at: UtcTime
    last_fired_at: UtcTime | None = None
    last_fired_by: str | None = None
    """Host, process id and start of the service that fired."""
    last_outcome: str = ""
    """What was done, or why nothing."""
    last_training_run_id: str | None = None
    fired: int = 0
    """How often it has fired, trainings or not."""


class PeriodicTrainings:
    """Periodic trainings of one service; `tick` is to be called every few seconds."""

    def __init__(
        self,
        client: AsyncMongoClient[dict[str, Any]],
        database: str,
        runs: TrainingRunRepository,
        executions: ExecutionRepository,
        digests: RunDigests,
        registry: ModelRegistry,
        *,
        every_algorithm: Trigger | None,
        by_algorithm: Mapping[str, Trigger],
        kinds: Kinds[TrainableKind],
        trials: int | None = None,
        history_runs: int | None = None,
    ) -> None:
        """Fires nothing yet.

        Args:
            kinds: All of them are trained.
            trials: Of each training; None: as many as its kind wants.
            history_runs: How many of the most recent runs a training reads; None: as many as its kind
                learns from.
        """
        self._client = client
        self._read = DocumentCollection(client, database, "training_schedule", TrainingSchedule)
        self._schedules = self._read.stored
        self._runs = runs
        self._executions = executions
        self._digests = digests
        self._registry = registry
        self._every_algorithm = every_algorithm
        self._by_algorithm = dict(by_algorithm)
        self._kinds = kinds
        self._trials = trials
        self._history_runs = history_runs
        self._owner = service_identity()

    @property
    def configured(self) -> bool:
        return self._every_algorithm is not None or bool(self._by_algorithm)

    async def schedules(self) -> Readable[TrainingSchedule]:
        """Those of this service's settings, the next one first."""
        triggers = await self._triggers()
        cursor = self._schedules.find({"_id": {"$in": list(triggers)}}).sort("next_fire_at", ASCENDING)
        return await self._read.many(cursor)

    async def tick(self) -> None:
        """Fire what is due."""
        try:
            triggers = await self._triggers()
            times = self._schedules.find({"_id": {"$in": list(triggers)}}, {"next_fire_at": 1})
            known = {schedule["_id"]: schedule.get("next_fire_at") async for schedule in times}
            for name in triggers.keys() - known.keys():
                system, algorithm, trigger = triggers[name]
                if await self._executions.has_history(system, algorithm):
                    await self._add(name, system, algorithm, trigger)
            now = utc_now()
            for name in triggers.keys() & known.keys():
                await self._bring_forward(name, triggers[name][2], known[name], now)
            due = {"_id": {"$in": list(triggers)}, "next_fire_at": {"$lte": now}}
            for schedule in await self._read.many(self._schedules.find(due)):
                await self._look_at(schedule, triggers[schedule.id][2])
        except PyMongoError as error:
            logger.warning("Periodic trainings wait for MongoDB: %s", type(error).__name__)

    async def _triggers(self) -> dict[str, tuple[str, str, Trigger]]:
        """By id: system, algorithm and trigger, of every algorithm that was ever submitted and has one."""
        found = {}
        for algorithm in await self._executions.algorithms():
            if trigger := self._by_algorithm.get(algorithm, self._every_algorithm):
                found[f"{_SYSTEM}/{algorithm}/{trigger}"] = (_SYSTEM, algorithm, trigger)
        return found

    async def _add(self, name: str, system: str, algorithm: str, trigger: Trigger) -> None:
        schedule = TrainingSchedule(
            id=name,
            system_name=system,
            algorithm_name=algorithm,
            trigger=str(trigger),
            next_fire_at=trigger.next_after(utc_now()),
        )
        document = schedule.model_dump(exclude={"id"})
        await self._schedules.update_one({"_id": name}, {"$setOnInsert": document}, upsert=True)

    async def _bring_forward(self, name: str, trigger: Trigger, next_fire_at: object, now: datetime) -> None:
        """What recurs at an interval is never due later than in one, unless the clock was set back."""
        if not isinstance(trigger, Every) or not isinstance(next_fire_at, datetime):
            return  # what is no time is told where schedules are read
        if next_fire_at > (latest := trigger.next_after(now)):
            unchanged = {"_id": name, "next_fire_at": next_fire_at}
            await self._schedules.update_one(unchanged, {"$set": {"next_fire_at": latest}})

    async def _look_at(self, schedule: TrainingSchedule, trigger: Trigger) -> None:
        try:
            await self._fire(schedule, trigger)
        except PyMongoError:
            raise
        except Exception:  # one schedule must not keep the others from firing
            logger.exception("Periodic training %s could not be queued", schedule.id)

    async def _fire(self, schedule: TrainingSchedule, trigger: Trigger) -> None:
        skipped = {kind.name: await self._reason_to_skip(schedule, kind) for kind in self._kinds}

        async def store(session: AsyncClientSession) -> str | None:
            """What was done; None where another service was first."""
            now = utc_now()
            # A clock that was set back must not make the same time due again.
            next_fire_at = trigger.next_after(max(now, schedule.next_fire_at))
            moved = {"next_fire_at": next_fire_at, "last_fired_at": now}
            result = await self._schedules.update_one(
                {"_id": schedule.id, "next_fire_at": schedule.next_fire_at},
                {"$set": {**moved, "last_fired_by": self._owner}, "$inc": {"fired": 1}},
                session=session,
            )
            if result.modified_count == 0:
                return None
            run_id, outcomes = None, []
            for kind in self._kinds:
                if reason := skipped[kind.name]:
                    outcomes.append(f"skipped: {reason}")
                    continue
                run_id = await self._enqueue(schedule, kind, session)
                outcomes.append(f"training {run_id} was queued")
            outcome = "; ".join(dict.fromkeys(outcomes))
            await self._schedules.update_one(
                {"_id": schedule.id},
                {"$set": {"last_outcome": outcome, "last_training_run_id": run_id}},
                session=session,
            )
            return outcome

        outcome = await in_transaction(self._client, store)
        if outcome:
            logger.info("%s, %s: %s", schedule.algorithm_name, schedule.trigger, outcome)

    async def _enqueue(
        self, schedule: TrainingSchedule, kind: TrainableKind, session: AsyncClientSession
    ) -> str:
        run = await self._runs.enqueue(
            system_name=schedule.system_name,
            algorithm_name=schedule.algorithm_name,
            model_name=kind.name,
            experiment_name="periodic",
            trials=self._trials or kind.default_trials,
            trigger=schedule.trigger,
            session=session,
        )
        return run.id

    async def _reason_to_skip(self, schedule: TrainingSchedule, kind: TrainableKind) -> str:
        if await self._runs.has_unfinished(schedule.system_name, schedule.algorithm_name):
            return "a training of the algorithm is under way"
        most = kind.most_runs
        run_ids = await self._digests.latest_ids(
            schedule.system_name, schedule.algorithm_name, min(self._history_runs or most, most)
        )
        if not run_ids:
            return "there is no finished run to learn from"
        name = model_name(schedule.system_name, schedule.algorithm_name, kind.name)
        latest = await self._registry.find_latest(name)
        ends = await self._executions.last_job_ends(run_ids)
        if latest is None or _has_news(ends, latest.training_data):
            return ""
        return f"there is nothing that version {latest.version} does not know"


def _has_news(ends: Mapping[str, datetime | None], known: TrainingData) -> bool:
    """Whether a run has finished, or a job was reported, that a version did not know."""
    run_ids = {*known.run_ids, *known.held_out_run_ids}
    last = known.last_job_end_time
    return any(
        run_id not in run_ids or (ended is not None and last is not None and ended > last + _SAME_JOB)
        for run_id, ended in ends.items()
    )
