"""What the gate decides itself, whatever the kind of model, and what it leaves to the kind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from common.models.artifacts import identify
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion, Promotion, VersionState
from tests.support.registered import FILES, NAME, publish
from training.kinds import ComparisonFailed, Kinds, TrainableKind
from training.promotion.gate import PromotionGate

Files = Mapping[str, bytes]


class Rivals:
    """A kind that knows beforehand how its versions compare."""

    def __init__(self, name: str = "onlinepredictor", failure: str = "") -> None:
        self.name = name
        self._failure = failure
        self.compared: list[tuple[int, int, Files, Files, Path]] = []

    async def compare(
        self, champion: ModelVersion, candidate: ModelVersion, old: Files, new: Files, folder: Path
    ) -> Promotion:
        self.compared.append((champion.version, candidate.version, old, new, folder))
        if self._failure:
            raise ComparisonFailed(self._failure)
        return Promotion(promoted=True, reason="It is newer.", method="age", champion_version=77)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "models")


def gate_of(registry: ModelRegistry, store: FolderStore, folder: Path, kind: Any) -> PromotionGate:
    return PromotionGate(registry, store, Kinds([cast(TrainableKind, kind)]), folder)


async def test_the_first_version_serves_without_being_compared(
    registry: ModelRegistry, store: FolderStore, tmp_path: Path
) -> None:
    candidate, kind = await publish(registry, store, champion=False), Rivals()
    promotion = await gate_of(registry, store, tmp_path, kind).judge(candidate, FILES)
    assert (promotion.promoted, promotion.champion_version) == (True, None)
    assert (promotion.method, promotion.reason) == (
        "first_version",
        "This is the first version of the model.",
    )
    assert kind.compared == []


async def test_two_intact_versions_are_the_kinds_to_compare(
    registry: ModelRegistry, store: FolderStore, tmp_path: Path
) -> None:
    await publish(registry, store)
    candidate, kind = await publish(registry, store, {"model.json": b"[]"}, champion=False), Rivals()
    promotion = await gate_of(registry, store, tmp_path, kind).judge(candidate, {"model.json": b"[]"})
    [(old, new, old_files, new_files, folder)] = kind.compared
    assert (old, new, old_files, new_files) == (1, 2, FILES, {"model.json": b"[]"})
    assert folder.parent == tmp_path
    assert (promotion.promoted, promotion.method, promotion.reason) == (True, "age", "It is newer.")
    assert promotion.champion_version == 1  # whatever the kind says


async def test_a_damaged_champion_is_told_and_the_one_before_is_the_rival(
    registry: ModelRegistry, store: FolderStore, tmp_path: Path
) -> None:
    champions = [await publish(registry, store) for _ in range(2)]
    candidate, kind = await publish(registry, store, champion=False), Rivals()
    (tmp_path / "models" / champions[1].artifact_key / "model.json").write_text("[]")
    promotion = await gate_of(registry, store, tmp_path, kind).judge(candidate, FILES)
    assert [(old, new) for old, new, *_ in kind.compared] == [(1, 3)]
    assert promotion.champion_version == 1
    assert (await registry.get_version(NAME, 2)).state is VersionState.DAMAGED


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Rivals(failure="They do not fit."), "They do not fit. The present version stays."),
        (
            Rivals(name="oracle"),
            "This service cannot compare such models: model_name is 'onlinepredictor'; known: oracle. "
            "The present version stays.",
        ),
    ],
    ids=["comparison fails", "kind is not known"],
)
async def test_where_two_versions_cannot_be_compared_the_present_one_stays(
    registry: ModelRegistry, store: FolderStore, tmp_path: Path, kind: Rivals, reason: str
) -> None:
    await publish(registry, store)
    candidate = await publish(registry, store, champion=False)
    promotion = await gate_of(registry, store, tmp_path, kind).judge(candidate, FILES)
    assert (promotion.promoted, promotion.champion_version) == (False, 1)
    assert (promotion.method, promotion.reason) == ("comparison_failed", reason)


async def test_a_champion_that_lies_in_another_store_gives_way(
    registry: ModelRegistry, store: FolderStore, tmp_path: Path
) -> None:
    """It is not damaged: a service that still has that store may serve it again."""
    elsewhere = FolderStore(tmp_path / "elsewhere")
    await identify(store)
    await identify(elsewhere)
    await publish(registry, elsewhere, store=elsewhere.identity)
    candidate, kind = await publish(registry, store, champion=False, store=store.identity), Rivals()
    promotion = await gate_of(registry, store, tmp_path, kind).judge(candidate, FILES)
    assert (promotion.promoted, promotion.method) == (True, "champion_unreadable")
    assert promotion.champion_version == 1
    assert "lies in another model store" in promotion.reason
    assert kind.compared == []
    assert (await registry.get_version(NAME, 1)).state is VersionState.READY
