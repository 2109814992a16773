"""Training runs in MongoDB: what is stored is the truth about a training."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, AsyncMongoClient, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from common.errors import Conflict, TrainingRunNotFound
from common.instruments import Instruments, unscraped
from common.models.versions import new_artifact_id
from common.mongo.collection import NEWEST, DocumentCollection, Index
from common.mongo.document import utc_now
from common.mongo.stored import Readable, UnreadableDocument
from training.runs.documents import UNFINISHED, TrainingResult, TrainingRun, TrainingState

LOG_LINES = 200
"""Lines of a training's log that are kept."""

_OWNED = [TrainingState.RUNNING.value, TrainingState.PUBLISHING.value]
"""States in which some service works on a run."""

_ASKED = ("system_name", "algorithm_name", "model_name", "experiment_name", "trials_total", "requested_by")
"""What a request says."""

_ENDED = [state.value for state in TrainingState if state.is_final]


_INDEXES = [
    Index("queue", ["state", "created_at"]),
    NEWEST,
    Index("of_algorithm", ["system_name", "algorithm_name", "state"]),
    Index("artifacts", ["artifact_ids"]),
]


class TrainingRunRepository:
    """Queue, progress and results of trainings; safe with several services on one database."""

    def __init__(
        self,
        client: AsyncMongoClient[dict[str, Any]],
        database: str,
        instruments: Instruments | None = None,
    ) -> None:
        self._instruments = instruments or unscraped()
        self._read = DocumentCollection(client, database, "training_run", TrainingRun, _INDEXES)
        self._runs = self._read.stored

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        await self._read.create_indexes()

    async def enqueue(
        self,
        *,
        system_name: str,
        algorithm_name: str,
        model_name: str,
        experiment_name: str,
        trials: int,
        trigger: str = "request",
        requested_by: str | None = None,
        run_id: str | None = None,
        session: AsyncClientSession | None = None,
    ) -> TrainingRun:
        """Store a new run.

        Args:
            run_id: That it is to have; where there is one of this id already, that one is answered.
        Raises:
            Conflict: That one is of another request.
        """
        run = TrainingRun(
            id=run_id or str(ObjectId()),
            system_name=system_name,
            algorithm_name=algorithm_name,
            model_name=model_name,
            experiment_name=experiment_name,
            trials_total=trials,
            trigger=trigger,
            requested_by=requested_by,
            log=[_line("queued" if trigger == "request" else f"queued by schedule: {trigger}")],
        )
        try:
            await self._read.insert(run, session)
        except DuplicateKeyError:
            there = await self.get(run.id)
            if any(getattr(there, name) != getattr(run, name) for name in _ASKED):
                raise Conflict(f"The training {run.id} is of another request.") from None
            return there
        return run

    async def get(self, run_id: str) -> TrainingRun:
        """Raises TrainingRunNotFound or UnreadableDocument."""
        run = await self._read.find(run_id)
        if run is None:
            raise _not_found(run_id)
        return run

    async def is_known(self, run_id: str) -> bool:
        return await self._runs.find_one({"_id": run_id}, {"_id": 1}) is not None

    async def requested_by(self, run_id: str) -> str | None:
        """Who asked for it, also where the rest of it cannot be read. Raises TrainingRunNotFound."""
        document = await self._runs.find_one({"_id": run_id}, {"requested_by": 1})
        if document is None:
            raise _not_found(run_id)
        return document.get("requested_by")

    async def newest(
        self,
        *,
        algorithm_name: str | None = None,
        state: TrainingState | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 50,
    ) -> Readable[TrainingRun]:
        """Newest first, without logs and trials; `before`: (created_at, id) of the last one already seen."""
        query: dict[str, Any] = {}
        if algorithm_name is not None:
            query["algorithm_name"] = algorithm_name
        if state is not None:
            query["state"] = state.value
        return await self._read.newest(query, before=before, limit=limit, without=["log", "trials"])

    async def count_states(self) -> dict[str, int]:
        """How many there are in each state."""
        return await self._read.count_states()

    async def has_unfinished(
        self, system_name: str, algorithm_name: str, session: AsyncClientSession | None = None
    ) -> bool:
        """Whether a training of the algorithm waits, runs or is being published."""
        query = {
            "system_name": system_name,
            "algorithm_name": algorithm_name,
            "state": {"$in": list(UNFINISHED)},
        }
        return await self._runs.find_one(query, {"_id": 1}, session=session) is not None

    async def count_unfinished(self, requested_by: str) -> int:
        """How many trainings of somebody wait, run or are being published."""
        query = {"state": {"$in": list(UNFINISHED)}, "requested_by": requested_by}
        return await self._runs.count_documents(query)

    async def was_triggered(self, algorithm_name: str, trigger: str) -> bool:
        """Whether there ever was a training for this reason."""
        query = {"algorithm_name": algorithm_name, "trigger": trigger}
        return await self._runs.find_one(query, {"_id": 1}) is not None

    async def claim(self, owner: str) -> TrainingRun | None:
        """Take the oldest queued run, if there is one; no other service can take it too.

        One that cannot be read has failed, and nothing is taken this time.
        """
        now = utc_now()
        artifact_id = new_artifact_id(secrets.token_hex(4), now)
        document = await self._runs.find_one_and_update(
            {"state": TrainingState.QUEUED.value},
            {
                "$set": {
                    "state": TrainingState.RUNNING.value,
                    "owner": owner,
                    "started_at": now,
                    "heartbeat_at": now,
                    "artifact_id": artifact_id,
                    "trials_done": 0,
                    "best_loss": None,
                    "trials": [],
                    "detail": "",
                },
                "$inc": {"attempts": 1},
                "$push": {"artifact_ids": artifact_id},
            },
            sort=[("created_at", ASCENDING)],
            return_document=ReturnDocument.AFTER,
        )
        if document is None:
            return None
        try:
            run = self._read.one(document)
        except UnreadableDocument as error:
            # Put back, it would be taken again and again, and keep all others waiting.
            await self._give_up(document["_id"], owner, str(error))
            return None
        if document["artifact_ids"] == [artifact_id]:  # later attempts were queued again nobody knows when
            self._instruments.training_wait.observe(_seconds_between(run.created_at, now))
        return run

    async def report(
        self, run_id: str, owner: str, fields: Mapping[str, Any], lines: Sequence[str] = ()
    ) -> TrainingRun | None:
        """Heartbeat with progress; None where the run is no longer this owner's."""
        update: dict[str, Any] = {"$set": {"heartbeat_at": utc_now(), **fields}}
        if lines:
            update["$push"] = {"log": {"$each": [_line(line) for line in lines], "$slice": -LOG_LINES}}
        document = await self._runs.find_one_and_update(
            {"_id": run_id, "owner": owner, "state": {"$in": _OWNED}},
            update,
            projection={"log": 0, "trials": 0},
            return_document=ReturnDocument.AFTER,
        )
        return self._read.one(document) if document else None

    async def finish(
        self,
        run_id: str,
        owner: str,
        state: TrainingState,
        detail: str = "",
        result: TrainingResult | None = None,
    ) -> None:
        """Store the outcome; without effect where the run is no longer this owner's."""
        fields = {
            "state": state.value,
            "detail": detail,
            "finished_at": utc_now(),
            "result": result.model_dump() if result else None,
        }
        ended = await self.report(run_id, owner, fields, [f"{state.value.lower()} {detail}".strip()])
        if ended is not None and ended.started_at is not None and ended.finished_at is not None:
            seconds = _seconds_between(ended.started_at, ended.finished_at)
            self._instruments.training_duration.labels(state.value).observe(seconds)

    async def _give_up(self, run_id: str, owner: str, why: str) -> None:
        fields = {"state": TrainingState.FAILED.value, "detail": why[:4000], "finished_at": utc_now()}
        await self._runs.update_one({"_id": run_id, "owner": owner}, {"$set": fields})
        self._instruments.training_duration.labels(TrainingState.FAILED.value).observe(0.0)

    async def put_back(self, run_id: str, owner: str, detail: str) -> None:
        """Queue a run again that its owner could not finish."""
        fields = {"state": TrainingState.QUEUED.value, "owner": None, "artifact_id": None, "detail": detail}
        await self.report(run_id, owner, fields, [detail])

    async def give_back(self, run_id: str, owner: str, attempts: int, detail: str) -> None:
        """Queue a run again whose owner stops in good order: that is no failed attempt."""
        fields = {
            "state": TrainingState.QUEUED.value,
            "owner": None,
            "artifact_id": None,
            "detail": detail,
            "attempts": attempts - 1,
        }
        await self.report(run_id, owner, fields, [detail])

    async def take_for_publishing(self, run_id: str, artifact_id: str, owner: str) -> TrainingRun | None:
        """Go on with a run whose model is trained, also after a restart.

        Returns:
            None where another attempt has taken the run's place, or it has ended.
        """
        document = await self._runs.find_one_and_update(
            {"_id": run_id, "artifact_id": artifact_id, "state": {"$in": _OWNED}},
            {"$set": {"owner": owner, "state": TrainingState.PUBLISHING.value, "heartbeat_at": utc_now()}},
            projection={"log": 0},
            return_document=ReturnDocument.AFTER,
        )
        return self._read.one(document) if document else None

    async def check_publishing(self, run_id: str, artifact_id: str, session: AsyncClientSession) -> bool:
        """Whether this attempt may still publish; a change of that in between aborts the transaction."""
        result = await self._runs.update_one(
            {"_id": run_id, "artifact_id": artifact_id, "state": TrainingState.PUBLISHING.value},
            {"$set": {"heartbeat_at": utc_now()}},
            session=session,
        )
        return result.matched_count == 1

    async def drawn_here(self, artifact_ids: Collection[str]) -> set[str]:
        """Those of these ids that an attempt of a run in this database has had."""
        wanted = set(artifact_ids)
        cursor = self._runs.find({"artifact_ids": {"$in": list(wanted)}}, {"artifact_ids": 1})
        return {drawn async for run in cursor for drawn in run["artifact_ids"]} & wanted

    async def beat(self, artifact_ids: Collection[str], owner: str) -> bool:
        """A sign of life for runs whose models wait; returns whether one is to be cancelled."""
        waiting = {"artifact_id": {"$in": list(artifact_ids)}, "owner": owner, "state": {"$in": _OWNED}}
        await self._runs.update_many(waiting, {"$set": {"heartbeat_at": utc_now()}})
        return await self._runs.find_one({**waiting, "cancel_requested": True}, {"_id": 1}) is not None

    async def artifacts_in_progress(self) -> set[str]:
        """Artifact ids of all runs that some service works on, whether they can be read or not."""
        cursor = self._runs.find({"state": {"$nin": _ENDED}}, {"artifact_id": 1})
        return {run["artifact_id"] async for run in cursor if isinstance(run.get("artifact_id"), str)}

    async def in_progress(self) -> Readable[TrainingRun]:
        """Runs that some service works on."""
        cursor = self._runs.find({"state": {"$in": _OWNED}}, {"log": 0})
        return await self._read.many(cursor)

    async def request_cancel(self, run_id: str, by: str | None = None) -> TrainingRun:
        """Cancel at once what is queued; ask the owner of what runs.

        Args:
            by: Who asked, for the record.
        Raises:
            TrainingRunNotFound: There is no such run.
            Conflict: It has ended otherwise.
        """
        queued = {"_id": run_id, "state": TrainingState.QUEUED.value}
        ended = {
            "state": TrainingState.CANCELLED.value,
            "finished_at": utc_now(),
            "detail": "cancelled while it waited",
            "cancel_requested": True,
            "cancel_requested_by": by,
        }
        await self._runs.update_one(queued, {"$set": ended, "$push": {"log": _line("cancelled")}})
        asked = {"cancel_requested": True, "cancel_requested_by": by}
        await self._runs.update_one({"_id": run_id, "state": {"$in": _OWNED}}, {"$set": asked})
        run = await self.get(run_id)
        if run.state.is_final and run.state is not TrainingState.CANCELLED:
            raise Conflict(f"Training run {run_id} has already {run.state.value.lower()}.")
        return run


def _not_found(run_id: str) -> TrainingRunNotFound:
    return TrainingRunNotFound(f"There is no training run {run_id[:100]!r}.")


def _seconds_between(earlier: datetime, later: datetime) -> float:
    """At least 0, where the clocks of two machines differ."""
    return max(0.0, (later - earlier).total_seconds())


def _line(text: str) -> str:
    return f"{utc_now():%Y-%m-%dT%H:%M:%SZ} {text[:2000]}"
