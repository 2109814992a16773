"""A service as far as messages go: with a real database and broker, and a runner that only notes."""

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app.wiring.environments import build_environments
from app.wiring.messages import open_messages
from app.wiring.programs import open_programs
from app.wiring.serving import open_predictions
from app.wiring.storage import SettingUp, Storage
from app.wiring.workspaces import open_workspaces
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.filter import ExecutionFilter
from common.executions.repository import ExecutionRepository
from common.instruments import Instruments
from common.loops import running
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.mongo.types import Client
from common.settings.settings import Settings
from common.workspaces.documents import Workspace
from common.workspaces.repository import WorkspaceExists
from common.workspaces.workspaces import Workspaces
from submission.idempotency import SubmissionLedger
from submission.manifest.options import ManifestOptions
from submission.messages.documents import MessageState, TrainingMessage
from submission.messages.opened import TrainingMessages
from submission.other_runners import OtherRunners
from submission.programs.opened import OpenPrograms
from submission.programs.outputs import OutputDescription
from submission.service import SubmissionService
from tests.support.doubles import FixedChooser, NotingRunner
from training.history.digests import RunDigests
from training.runs.repository import TrainingRunRepository

_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.05

_OF_A_RUN = {
    "application_execution": "_id",
    "submission_answer": "_id",
    "scaling_decision": "application_execution_id",
}
"""By collection, the field with a run's id."""


@dataclass(frozen=True)
class MessageService:
    """One of several on a database."""

    messages: TrainingMessages
    runner: NotingRunner
    submissions: SubmissionService
    executions: ExecutionRepository
    workspaces: Workspaces
    programs: OpenPrograms
    instruments: Instruments

    async def stored(self, state: MessageState | None = None) -> list[TrainingMessage]:
        """Oldest first."""
        return (await self.messages.stored.newest(state, before=None, limit=0))[::-1]

    async def runs(self) -> list[ApplicationExecution]:
        """All that there are, whoever has submitted them; oldest first."""
        return (await self.executions.newest(ExecutionFilter(), before=None, limit=0))[::-1]

    async def until(self, count: int, state: MessageState) -> list[TrainingMessage]:
        """Messages in a state, as soon as there are so many."""
        await eventually(lambda: self._are(count, state))
        return await self.stored(state)

    async def _are(self, count: int, state: MessageState) -> bool:
        return len(await self.stored(state)) >= count

    async def complete(self, run_id: str, path: str, content: bytes) -> None:
        """Let a run leave a file, and end well."""
        runs, outputs = self.programs.runs, self.programs.outputs
        sha256 = hashlib.sha256(content).hexdigest()
        part = {"sha256": sha256, "size_bytes": len(content)}
        said = {"attempt": 1, "files": [{"path": path, **part, "parts": [part]}]}
        run = await runs.start(run_id, "team", None)
        await outputs.describe(run, OutputDescription.model_validate(said))
        await outputs.put_part(run_id, sha256, content)
        await outputs.complete(await runs.of_attempt(run_id, 1), unpublished=False)
        await self.executions.record_state(run_id, ApplicationState.COMPLETED)

    def counted(self, result: str) -> float:
        """Messages of which that became."""
        value = self.instruments.registry.get_sample_value("enel_training_messages_total", {"result": result})
        return value or 0.0


async def eventually(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Return as soon as it is so; fails where it never is."""
    deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while not await is_so():
        assert asyncio.get_running_loop().time() < deadline, "it has not come to that"
        await asyncio.sleep(_PAUSE_SECONDS)


class MessageServices:
    """Services on one database, each with a broker of its settings."""

    def __init__(self, mongo: Client, database: str, folder: Path, options: ManifestOptions) -> None:
        self._mongo = mongo
        self._database = database
        self._folder = folder
        self._options = dataclasses.replace(options, launcher="/opt/enel/launch.py")

    @asynccontextmanager
    async def open(self, address: str, **settings: object) -> AsyncIterator[MessageService]:
        """One that reads and answers, with a workspace `team` that holds `train.py`."""
        given = Settings()
        given.messages.kafka_endpoint = address
        given.messages.kafka_timeout_seconds = 5.0
        for name, value in settings.items():
            setattr(given.access if hasattr(given.access, name) else given.messages, name, value)
        executions = ExecutionRepository(self._mongo, self._database)
        instruments = Instruments()
        storage = Storage(
            self._folder,
            self._mongo,
            self._database,
            executions,
            RunDigests(self._mongo, self._database, executions),
            TrainingRunRepository(self._mongo, self._database),
            ModelRegistry(self._mongo, self._database),
            FolderStore(self._folder / "models"),
            instruments,
            SettingUp(),
        )
        workspaces = (await open_workspaces(given.workspaces, storage)).workspaces
        environments = await build_environments(given.environments, storage, 1.0)
        predictions = await open_predictions(storage)
        programs = await open_programs(
            given.programs, storage, workspaces, environments, predictions, feedback_rows=0
        )
        ledger = SubmissionLedger(self._mongo, self._database, storage.executions, key_seconds=3600)
        await ledger.create_indexes()
        await storage.setting_up.done()
        runner = NotingRunner(storage.executions.record_state)
        submissions = SubmissionService(
            storage.executions,
            ledger,
            runner,
            OtherRunners(self._mongo, self._database, storage.executions, runner, "http://here"),
            FixedChooser(),
            self._options,
            instruments=instruments,
            programs=programs.preparation,
        )
        with suppress(WorkspaceExists):
            await workspaces.stored.create(Workspace(name="team"))
            await workspaces.put("team", "train.py", b"print('trained')", None)
        async with AsyncExitStack() as stack:
            messages = await stack.enter_async_context(open_messages(given, storage, programs, submissions))
            await stack.enter_async_context(running(messages.opened.loops() if messages.opened else []))
            yield MessageService(
                messages, runner, submissions, storage.executions, workspaces, programs, instruments
            )

    async def forget_keys(self) -> None:
        """As MongoDB does a day later."""
        await self._mongo[self._database]["submission_key"].delete_many({})

    async def set_back(self, message_id: str, *, with_run: bool) -> None:
        """To what is stored while its run is being submitted.

        Args:
            with_run: Back to before the run was stored, too.
        """
        collection = self._mongo[self._database]["training_message"]
        message = await collection.find_one_and_update(
            {"_id": message_id}, {"$set": {"state": "RECEIVED", "open": False}}
        )
        if with_run and message is not None:
            for name, field in _OF_A_RUN.items():
                await self._mongo[self._database][name].delete_many({field: message["execution_id"]})
