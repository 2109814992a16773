"""The promotion gate: a new version against the one that serves now."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from common.errors import ModelKindNotFound
from common.models.artifacts import ArtifactDamaged, ArtifactStore
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion, Promotion, VersionElsewhere, read_version
from common.mongo.stored import UnreadableDocument
from training.kinds import ComparisonFailed, Kinds, TrainableKind


class Gate(Protocol):
    """Decides whether a new version shall serve."""

    async def judge(self, candidate: ModelVersion, files: Mapping[str, bytes]) -> Promotion:
        """Compare with the present champion.

        Raises:
            StoreUnavailable: The champion cannot be read now.
        """


class PromotionGate:
    """Holds for every kind of model; only how two intact versions compare is the kind's to say.

    A version without a rival serves, and so does one whose rival cannot be read, or lies in a store that was
    replaced. Where the two cannot be compared the present one stays.
    """

    def __init__(
        self, registry: ModelRegistry, store: ArtifactStore, kinds: Kinds[TrainableKind], folder: Path
    ) -> None:
        """`folder` is where comparisons put their own folders."""
        self._registry = registry
        self._store = store
        self._kinds = kinds
        self._folder = folder

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
            return Promotion(
                promoted=True,
                reason="This is the first version of the model.",
                method="first_version",
                champion_version=champion.version if champion else None,
            )
        try:
            champion_files = await read_version(self._store, champion)
        except ArtifactDamaged as error:
            await self._registry.report_damage(champion, error)
            return await self.judge(candidate, files)
        except VersionElsewhere as error:
            return Promotion(
                promoted=True,
                reason=f"The present version cannot be read by this service, and gives way: {error}"[:1000],
                method="champion_unreadable",
                champion_version=champion.version,
            )
        try:
            kind = self._kinds.get(candidate.kind)
            folder = self._folder / f"comparison-{candidate.artifact_key.rpartition('/')[2]}"
            promotion = await kind.compare(champion, candidate, champion_files, files, folder)
        except ModelKindNotFound as error:
            return _stays(champion, f"This service cannot compare such models: {error}")
        except ComparisonFailed as error:
            return _stays(champion, str(error))
        # The registry takes no verdict about another champion than the one that it has.
        return promotion.model_copy(update={"champion_version": champion.version})


def _stays(champion: ModelVersion, why: str) -> Promotion:
    return Promotion(
        promoted=False,
        reason=f"{why} The present version stays.",
        method="comparison_failed",
        champion_version=champion.version,
    )
