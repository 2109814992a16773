"""`onlinepredictor`: forecasts what is left of a run, whatever has happened so far.

It learns from whole runs, by a search of hyperparameters (`training.search`). Versions are compared on
runs that neither has seen (`training.promotion`). Asked a `ForecastQuestion`, it answers with a
`Forecast` (`prediction.forecasts.forecast`).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.beside import beside
from common.executions.gaps import Run
from common.executions.repository import ExecutionRepository
from common.models.versions import ModelVersion, Promotion, TrainingData
from common.settings.training import TrainingSettings
from prediction.forecasts.forecast import (
    ForecastRequest,
    PreloadRequest,
    forecast,
    preload,
    prepare_to_forecast,
)
from prediction.kinds.kind import Work
from training.evidence.table import MAX_HISTORY_RUNS, usable
from training.history.from_documents import to_run_record
from training.history.values import RunRecord, history_to_json
from training.kinds import Facts, Files, Material, TrainingFailed
from training.promotion.comparison import compare
from training.promotion.policy import Method, Version, decide, select_held_out
from training.search.config import SearchConfig

ONLINE_PREDICTOR = "onlinepredictor"

_COMPARISON_SECONDS = 900.0
"""A run of thousands of jobs takes minutes to judge."""


@dataclass(frozen=True)
class ForecastQuestion:
    """What is left of a run with each of some scale-outs?"""

    run: RunRecord
    """Jobs finished so far; without any, nothing is fine-tuned."""
    after_job_id: int
    """Last finished job, -1 before the run."""
    current_scale_out: int
    candidates: tuple[int, ...]


class OnlinePredictor:
    """The kind of model that steers runs."""

    name = ONLINE_PREDICTOR
    default_trials = SearchConfig().trials
    most_runs = MAX_HISTORY_RUNS
    module = "training.search.process"

    def __init__(self, executions: ExecutionRepository, settings: TrainingSettings) -> None:
        self._executions = executions
        self._settings = settings

    # --- how it learns ----------------------------------------------------------------------------

    async def collect(
        self, system_name: str, algorithm_name: str, *, trials: int, champion: ModelVersion | None
    ) -> Material:
        """The usable ones of the most recent runs, without those that are kept back to compare on."""
        limit = min(self._settings.training_max_history_runs, MAX_HISTORY_RUNS)
        found = await self._executions.finished_runs(system_name, algorithm_name, limit)
        if not found:
            raise TrainingFailed("The history has gone since this training was asked for.")
        return await beside(self._material, found, trials, champion)

    def _material(self, found: Sequence[Run], trials: int, champion: ModelVersion | None) -> Material:
        """Seconds of work where runs have many stages."""
        runs = usable(_records(found))
        seen = champion.training_data.run_ids if champion else None
        held_out_ids = set() if seen is None else set(select_held_out(runs, seen))
        history = [run for run in runs if run.run_id not in held_out_ids]
        held_out = [run for run in runs if run.run_id in held_out_ids]
        log = [f"learning from {len(history)} runs"]
        if held_out:
            log.append(f"held out to compare with the present version: {len(held_out)} runs")
        request = {
            "history": history_to_json(history),
            "trials": trials,
            "max_concurrent": self._settings.training_concurrent_trials,
            "seed": self._settings.training_seed,
        }
        return Material(request, _training_data(history, held_out), log)

    def facts(self, files: Files, result: Mapping[str, Any]) -> Facts:
        """`model.json` knows its own schema; the search has told the rest."""
        return Facts(
            schema_version=json.loads(files["model.json"])["schema_version"],
            hyperparameters=result.get("hyperparameters", {}),
            validation=result.get("validation", {}),
        )

    # --- how versions compare ---------------------------------------------------------------------

    async def compare(
        self,
        champion: ModelVersion,
        candidate: ModelVersion,
        champion_files: Files,
        candidate_files: Files,
        folder: Path,
    ) -> Promotion:
        """By the mean error of the remaining runtime, on the runs that were kept back for this."""
        seen = set(champion.training_data.run_ids) | set(candidate.training_data.run_ids)
        unseen = [run for run in candidate.training_data.held_out_run_ids if run not in seen]
        runs = await beside(_records, await self._executions.runs_by_id(unseen))
        # Without runs it still tells whether the champion can be read at all.
        comparison = await compare(
            champion_files, candidate_files, runs, folder, timeout_seconds=_COMPARISON_SECONDS
        )
        tolerance = self._settings.promotion_tolerance
        verdict = decide(_known(champion), _known(candidate), comparison, tolerance=tolerance)
        on_runs = verdict.method is Method.UNSEEN_RUNS
        return Promotion(
            promoted=verdict.promote,
            reason=verdict.reason,
            method=verdict.method,
            champion_version=champion.version,
            champion_error=verdict.champion_error,
            version_error=verdict.candidate_error,
            runs=comparison.runs if on_runs else 0,
            moments=comparison.cuts if on_runs else 0,
        )

    # --- how it serves ----------------------------------------------------------------------------

    @property
    def prepare_worker(self) -> Callable[[], object]:
        """Importing torch takes seconds."""
        return prepare_to_forecast

    def preload(self, files: Files, artifact_key: str) -> Work:
        """Deserialise a model in a worker."""
        return Work(preload, PreloadRequest(files, artifact_key))

    def ask(self, files: Files | None, artifact_key: str, question: ForecastQuestion) -> Work:
        """Forecast the rest of a run, with a copy that is fine-tuned to it."""
        request = ForecastRequest(
            files=files,
            artifact_key=artifact_key,
            run=question.run,
            after_job_id=question.after_job_id,
            current_scale_out=question.current_scale_out,
            candidates=question.candidates,
            fine_tune=bool(question.run.jobs),
        )
        return Work(forecast, request)


def _records(found: Sequence[Run]) -> list[RunRecord]:
    return [to_run_record(execution, jobs) for execution, jobs in found]


def _training_data(history: Sequence[RunRecord], held_out: Sequence[RunRecord]) -> TrainingData:
    starts = [datetime.fromtimestamp(record.started_at, UTC) for record in history]
    ends = [run.started_at + max(job.end_seconds for job in run.jobs) for run in (*history, *held_out)]
    return TrainingData(
        runs=len(history),
        jobs=sum(len(record.jobs) for record in history),
        first_run_at=min(starts),
        last_run_at=max(starts),
        last_job_end_time=datetime.fromtimestamp(max(ends), UTC),
        run_ids=[record.run_id for record in history],
        held_out_run_ids=[record.run_id for record in held_out],
    )


def _known(version: ModelVersion) -> Version:
    error = version.validation.get("remaining_error")
    return Version(
        frozenset(version.training_data.run_ids),
        float(error) if isinstance(error, int | float) else None,
    )
