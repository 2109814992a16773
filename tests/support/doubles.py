"""A runner that only writes down what it is told, and a forecast that says what a test wants."""

import asyncio
import io
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from common.executions.documents import ApplicationExecution, ApplicationState
from common.mongo.document import utc_now
from common.settings.prediction import PredictionSettings
from common.wire.specs import ApplicationSpecs, WorkerSpecs
from prediction.first_choice import FirstChoice, choose_first
from prediction.forecasts.method import Method
from prediction.forecasts.whole_run import WholeRunForecast
from prediction.policies.by_rule import ByRule
from prediction.policies.registry import Policies
from prediction.policies.scale_out_rule import ScaleOutRule
from submission.local.runner import LOCAL
from submission.log_lines import NumberedLines, lines_from
from submission.manifest.build import Manifest
from submission.runners import RecordState, Runner
from submission.service import SubmissionService
from training.statistics.predictive_std import symmetric_std

POLICIES = Policies(PredictionSettings())

OpenSubmissions = Callable[[Runner], SubmissionService]
"""What each of several services on a database holds."""


class NotingRunner:
    name = "local"
    platform = LOCAL

    def __init__(self, record_state: RecordState) -> None:
        self._record_state = record_state
        self.limit: int | None = None
        self.started: list[str] = []
        self.resumed: list[str] = []
        self.stopped: list[tuple[str, str]] = []
        self.log: str | None = None
        self.refusal: Exception | None = None
        self.breakage: Exception | None = None
        self.verdict: dict[str, Any] = {"accepted": True, "checked_by": "local", "warnings": []}
        self.may_start = asyncio.Event()
        self.may_start.set()

    def max_executors(self, worker: WorkerSpecs) -> int | None:
        return self.limit

    async def check(self, manifest: Manifest) -> None:
        if self.refusal:
            raise self.refusal

    async def dry_run(self, manifest: Manifest) -> dict[str, Any]:
        return self.verdict

    async def start(self, manifest: Manifest, execution_id: str) -> dict[str, Any]:
        await self.may_start.wait()
        if self.breakage:
            raise self.breakage
        await self._record_state(execution_id, ApplicationState.PENDING, "in line")
        self.started.append(execution_id)
        return {"kind": manifest["kind"]}

    async def stop(self, execution_id: str, reason: str = "Killed on request.") -> bool:
        self.stopped.append((execution_id, reason))
        if execution_id not in self.started:
            return False
        await self._record_state(
            execution_id, ApplicationState.KILLED, reason, fields={"end_time": utc_now()}
        )
        return True

    async def read_log(self, execution_id: str, tail_lines: int, attempt: int | None = None) -> str | None:
        return self.log

    async def follow_log(self, execution_id: str, tail_lines: int) -> AsyncGenerator[str, None]:
        for line in (self.log or "").splitlines()[-tail_lines:]:
            yield line

    async def follow_lines(self, execution_id: str, offset: int) -> AsyncGenerator[str, None]:
        for line in (self.log or "").splitlines()[offset:]:
            yield line

    async def read_lines(self, execution_id: str, offset: int, *, ended: bool) -> NumberedLines | None:
        if self.log is None:
            return None
        found, _ = lines_from(io.BytesIO(self.log.encode()), offset, ended=ended)
        return found

    async def resume(self, executions: Sequence[ApplicationExecution]) -> None:
        self.resumed = [execution.id for execution in executions]

    async def aclose(self) -> None:
        pass


def rescales(specs: ApplicationSpecs) -> bool:
    """As the policy of the run's `solution_name` says."""
    return POLICIES.get(specs.global_specs.solution_name).rescales


class FixedChooser:
    """Answers what a test wants, and rescales all but static runs."""

    def __init__(self) -> None:
        self.answer: FirstChoice | Exception = FirstChoice(
            scale_out=4, reason="Four are enough.", predicted_runtime_seconds=80.0, target_seconds=100.0
        )
        self.asked: list[ApplicationSpecs] = []

    async def choose(self, specs: ApplicationSpecs) -> FirstChoice:
        self.asked.append(specs)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def rescales(self, specs: ApplicationSpecs) -> bool:
        return rescales(specs)

    def expect(self, runtimes: dict[int, float], target_seconds: float) -> None:
        """Forecasts by scale-out, chosen from as the service does."""
        predictive_stds = (symmetric_std(0.1),) * len(runtimes)
        medians = tuple(runtimes.values())
        found = WholeRunForecast(tuple(runtimes), medians, predictive_stds, source="context-model", runs=5)
        self.answer = choose_first(ByRule("enel", Method.MODEL, ScaleOutRule(0.8)), found, target_seconds)


class Recorder:
    """Keeps states as the repository does: a final one is never left again."""

    def __init__(self) -> None:
        self.changes: dict[str, list[tuple[ApplicationState, str]]] = {}
        self.fields: dict[str, dict[str, Any]] = {}

    async def __call__(
        self,
        application_execution_id: str,
        state: ApplicationState,
        reason: str = "",
        *,
        fields: Mapping[str, Any] | None = None,
    ) -> bool:
        changes = self.changes.setdefault(application_execution_id, [])
        if changes and (changes[-1][0].is_final or changes[-1][0] == state):
            return False
        changes.append((state, reason))
        self.fields.setdefault(application_execution_id, {}).update(fields or {})
        return True

    def states(self, execution_id: str) -> list[str]:
        return [state.value for state, _ in self.changes.get(execution_id, [])]

    def latest(self, execution_id: str) -> tuple[ApplicationState, str]:
        return self.changes[execution_id][-1]
