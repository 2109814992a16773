"""A runner that only writes down what it is told, and a forecast that says what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from common.executions.documents import ApplicationExecution, ApplicationState
from common.mongo.document import utc_now
from common.wire.specs import ApplicationSpecs, WorkerSpecs
from prediction.forecasts.candidate import RuntimeForecast
from prediction.initial import InitialScaleOut, initial_scale_out
from prediction.policies.scale_out import ScaleOutRule
from submission.local.runner import LOCAL
from submission.manifest.build import Manifest
from submission.runners import RecordState


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

    async def read_log(self, execution_id: str, tail_lines: int) -> str | None:
        return self.log

    async def follow_log(self, execution_id: str, tail_lines: int) -> AsyncIterator[str]:
        for line in (self.log or "").splitlines()[-tail_lines:]:
            yield line

    async def resume(self, executions: Sequence[ApplicationExecution]) -> None:
        self.resumed = [execution.id for execution in executions]

    async def aclose(self) -> None:
        pass


class Chooser:
    def __init__(self) -> None:
        self.answer: InitialScaleOut | Exception = InitialScaleOut(4, "Four are enough.", 80.0)
        self.asked: list[ApplicationSpecs] = []

    async def __call__(self, specs: ApplicationSpecs) -> InitialScaleOut:
        self.asked.append(specs)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def expect(self, runtimes: dict[int, float], target_seconds: float) -> None:
        """Forecasts by scale-out, chosen from as the service does."""
        forecasts = [RuntimeForecast(scale_out, seconds, 0.1) for scale_out, seconds in runtimes.items()]
        self.answer = initial_scale_out(
            forecasts, target_seconds, ScaleOutRule(0.8), source="context-model", runs=5, how="five runs"
        )
