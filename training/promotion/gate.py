"""The promotion gate: a new version against the one that serves now."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from common.executions.repository import ExecutionRepository
from common.models.artifacts import ArtifactDamaged, ArtifactStore
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion, Promotion, read_version
from common.mongo.stored import UnreadableDocument
from training.history.from_documents import to_run_record
from training.promotion.comparison import Comparison, ComparisonFailed, compare
from training.promotion.policy import Method, Version, decide

_COMPARISON_SECONDS = 900.0
"""A run of thousands of jobs takes minutes to judge."""


class Gate(Protocol):
    """Decides whether a new version shall serve; each kind of model has its own way to compare."""

    async def judge(self, candidate: ModelVersion, files: Mapping[str, bytes]) -> Promotion:
        """Compare with the present champion.

        Raises:
            StoreUnavailable: The champion cannot be read now.
        """


class PromotionGate:
    """For models of remaining runtimes: on runs that neither version has seen."""

    def __init__(
        self,
        registry: ModelRegistry,
        store: ArtifactStore,
        executions: ExecutionRepository,
        folder: Path,
        tolerance: float,
    ) -> None:
        self._registry = registry
        self._store = store
        self._executions = executions
        self._folder = folder
        self._tolerance = tolerance

    async def judge(self, candidate: ModelVersion, files: Mapping[str, bytes]) -> Promotion:
        try:
            champion = await self._registry.find_champion(candidate.name)
        except UnreadableDocument as error:
            return Promotion(
                promoted=True,
                reason=f"The present version cannot be read, and does not serve: {error.why}"[:1000],
                method="champion_unreadable",
                champion_version=await self._registry.find_champion_number(candidate.name),
            )
        if champion is None or champion.version == candidate.version:
            verdict = decide(None, _known(candidate))
            return Promotion(
                promoted=True,
                reason=verdict.reason,
                method=verdict.method,
                champion_version=champion.version if champion else None,
            )
        try:
            champion_files = await read_version(self._store, champion)
        except ArtifactDamaged as error:
            await self._registry.report_damage(champion, error)
            return await self.judge(candidate, files)
        try:
            comparison = await self._compare(champion, candidate, champion_files, files)
        except ComparisonFailed as error:
            return Promotion(
                promoted=False,
                reason=f"{error} The present version stays.",
                method="comparison_failed",
                champion_version=champion.version,
            )
        verdict = decide(_known(champion), _known(candidate), comparison, tolerance=self._tolerance)
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

    async def _compare(
        self,
        champion: ModelVersion,
        candidate: ModelVersion,
        champion_files: Mapping[str, bytes],
        files: Mapping[str, bytes],
    ) -> Comparison:
        seen = set(champion.training_data.run_ids) | set(candidate.training_data.run_ids)
        unseen = [run for run in candidate.training_data.held_out_run_ids if run not in seen]
        runs = [to_run_record(run, jobs) for run, jobs in await self._executions.runs_by_id(unseen)]
        # Without runs it still tells whether the champion can be read at all.
        return await compare(
            champion_files,
            files,
            runs,
            self._folder / f"comparison-{candidate.artifact_key.rpartition('/')[2]}",
            timeout_seconds=_COMPARISON_SECONDS,
        )


def _known(version: ModelVersion) -> Version:
    error = version.validation.get("remaining_error")
    return Version(
        frozenset(version.training_data.run_ids),
        float(error) if isinstance(error, int | float) else None,
    )
