"""Versions, aliases and their history in a real MongoDB, also when several change them at once."""

import asyncio
import uuid
from pathlib import Path

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession

from common.errors import Conflict
from common.models.artifacts import describe
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry, ModelVersionNotFound, RegisteredModelNotFound
from common.models.versions import (
    ALIAS_CHANGES_KEPT,
    CHAMPION,
    ModelVersion,
    Promotion,
    VersionState,
    new_artifact_id,
)
from common.mongo.types import Client
from tests.support.registered import FILES, NAME, allowed, new_version, publish

DAMAGED, DELETED, READY = VersionState.DAMAGED, VersionState.DELETED, VersionState.READY


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


async def register(registry: ModelRegistry, **fields: object) -> ModelVersion:
    return await registry.register(new_version(**fields), allowed)


async def champion_of(registry: ModelRegistry) -> int | None:
    return (await registry.get_model(NAME)).champion


def verdict(champion: int | None, promoted: bool = True) -> Promotion:
    return Promotion(promoted=promoted, reason="for a test", method="test", champion_version=champion)


# --- registration -------------------------------------------------------------------------------


async def test_numbers_count_up_for_each_model(registry: ModelRegistry) -> None:
    numbers = [(await register(registry)).version for _ in range(3)]
    other = await register(registry, algorithm_name="MPC")
    assert (numbers, other.version, other.id) == ([1, 2, 3], 1, "spark.MPC.onlinepredictor/1")
    model = await registry.get_model(NAME)
    assert (model.latest_version, model.champion, model.aliases) == (3, None, {})
    assert (model.kind, model.system_name, model.algorithm_name) == ("onlinepredictor", "spark", "KMeans")


async def test_of_which_kinds_there_are_models(registry: ModelRegistry) -> None:
    assert not await registry.has_models_of("onlinepredictor")
    await register(registry)
    assert await registry.has_models_of("onlinepredictor")
    assert not await registry.has_models_of("another")


async def test_what_is_registered_is_read(registry: ModelRegistry) -> None:
    new = new_version(training_run_id="a-training")
    version = await registry.register(new, allowed)
    assert version == await registry.get_version(NAME, 1) == await registry.find_by_artifact(new.artifact_key)
    assert version.expected_files() == describe(FILES)
    assert version.size_bytes == 2 + 25_600
    assert version.training_run_id == "a-training"


@pytest.mark.parametrize("known_before", [False, True])
async def test_registrations_at_once_get_numbers_of_their_own(
    registry: ModelRegistry, known_before: bool
) -> None:
    if known_before:
        await register(registry)
    versions = await asyncio.gather(*(register(registry) for _ in range(20)))
    first = 1 + known_before
    assert sorted(version.version for version in versions) == list(range(first, first + 20))
    assert (await registry.get_model(NAME)).latest_version == 19 + first


async def test_the_same_artifact_is_registered_once(registry: ModelRegistry) -> None:
    new = new_version()
    versions = await asyncio.gather(*(registry.register(new, allowed) for _ in range(8)))
    assert {version.version for version in versions} == {1}
    assert (await registry.register(new, allowed)).version == 1
    assert (await register(registry)).version == 2


async def test_a_fence_that_raises_stores_nothing(registry: ModelRegistry) -> None:
    class Fenced(Exception):
        pass

    async def fence(_: AsyncClientSession) -> None:
        raise Fenced

    new = new_version()
    with pytest.raises(Fenced):
        await registry.register(new, fence)
    assert await registry.find_model(NAME) is None
    assert await registry.find_by_artifact(new.artifact_key) is None
    assert (await registry.register(new, allowed)).version == 1
    with pytest.raises(Fenced):
        await registry.register(new, fence)  # also where it is registered already


async def test_an_unknown_model_has_nothing(registry: ModelRegistry) -> None:
    assert await registry.find_champion(NAME) is None
    assert await registry.find_latest(NAME) is None
    assert not await registry.versions(NAME)
    with pytest.raises(RegisteredModelNotFound):
        await registry.get_model(NAME)
    with pytest.raises(RegisteredModelNotFound):
        await registry.remove_alias(NAME, CHAMPION, "")
    with pytest.raises(RegisteredModelNotFound):
        await registry.delete_version(NAME, 1)
    with pytest.raises(RegisteredModelNotFound):
        await registry.record_promotion(NAME, 1, verdict(None))


async def test_champions_are_told_at_once_and_without_what_cannot_be_read(
    registry: ModelRegistry, mongo: Client, database: str
) -> None:
    for algorithm_name in ("A", "B", "C"):
        made = await register(registry, algorithm_name=algorithm_name)
        if algorithm_name != "C":
            assert await registry.record_promotion(made.name, 1, verdict(None))
    await mongo[database]["model_version"].update_one(
        {"algorithm_name": "B"}, {"$set": {"created_at": "yesterday"}}
    )
    champions = await registry.champions(await registry.models())
    assert [champion.algorithm_name for champion in champions.values()] == ["A"]


# --- promotion ----------------------------------------------------------------------------------


async def test_a_promoted_version_serves_and_another_does_not(registry: ModelRegistry) -> None:
    for _ in range(2):
        await register(registry)
    assert await registry.record_promotion(NAME, 1, verdict(None))
    assert await registry.record_promotion(NAME, 2, verdict(1, promoted=False))
    champion = await registry.find_champion(NAME)
    assert champion is not None
    assert champion.version == 1
    for number, promoted in ((1, True), (2, False)):
        promotion = (await registry.get_version(NAME, number)).promotion
        assert promotion is not None
        assert promotion.promoted == promoted


async def test_a_promotion_against_a_former_champion_stores_nothing(registry: ModelRegistry) -> None:
    for _ in range(3):
        await register(registry)
    await registry.record_promotion(NAME, 1, verdict(None))
    await registry.record_promotion(NAME, 2, verdict(1))
    before = await registry.get_model(NAME)
    for promoted in (True, False):
        assert not await registry.record_promotion(NAME, 3, verdict(1, promoted))
    assert not await registry.record_promotion(NAME, 3, verdict(None))
    assert (await registry.get_version(NAME, 3)).promotion is None
    assert await registry.get_model(NAME) == before


async def test_of_promotions_at_once_one_wins(registry: ModelRegistry) -> None:
    for _ in range(6):
        await register(registry)
    stored = await asyncio.gather(
        *(registry.record_promotion(NAME, number, verdict(None)) for number in range(1, 7))
    )
    assert stored.count(True) == 1
    assert await champion_of(registry) == 1 + stored.index(True)


async def test_what_was_deleted_or_damaged_meanwhile_is_not_promoted(registry: ModelRegistry) -> None:
    for _ in range(2):
        await register(registry)
    await registry.delete_version(NAME, 1)
    await registry.set_state(NAME, 2, DAMAGED, "a bit")
    for number in (1, 2):
        with pytest.raises(Conflict):
            await registry.record_promotion(NAME, number, verdict(None))
        assert (await registry.get_version(NAME, number)).promotion is None
    with pytest.raises(ModelVersionNotFound):
        await registry.record_promotion(NAME, 3, verdict(None))
    assert await champion_of(registry) is None
    assert await registry.record_promotion(NAME, 2, verdict(None, promoted=False))


# --- aliases ------------------------------------------------------------------------------------


async def test_aliases_are_moved_and_removed_and_their_history_is_kept(registry: ModelRegistry) -> None:
    for _ in range(2):
        await register(registry)
    await registry.set_alias(NAME, CHAMPION, 1, "first")
    await registry.set_alias(NAME, "candidate", 2, "to try")
    await registry.set_alias(NAME, CHAMPION, 2, "better")
    model = await registry.set_alias(NAME, CHAMPION, 2, "again")  # it does already: no change
    assert model.aliases[CHAMPION].reason == "better"
    await registry.set_alias(NAME, CHAMPION, 1, "roll-back")
    model = await registry.remove_alias(NAME, CHAMPION, "gone")
    assert model == await registry.remove_alias(NAME, CHAMPION, "twice")
    assert {alias: of.version for alias, of in model.aliases.items()} == {"candidate": 2}
    changes = [
        (change.alias, change.version, change.previous, change.reason) for change in model.alias_changes
    ]
    assert changes == [
        (CHAMPION, 1, None, "first"),
        ("candidate", 2, None, "to try"),
        (CHAMPION, 2, 1, "better"),
        (CHAMPION, 1, 2, "roll-back"),
        (CHAMPION, None, 1, "gone"),
    ]
    times = [change.at for change in model.alias_changes]
    assert times == sorted(times)
    assert await registry.find_champion(NAME) is None


async def test_an_alias_names_nothing_damaged_deleted_or_unknown(registry: ModelRegistry) -> None:
    for _ in range(3):
        await register(registry)
    before = await registry.set_alias(NAME, CHAMPION, 3, "")
    await registry.set_state(NAME, 1, DAMAGED, "a bit")
    await registry.delete_version(NAME, 2)
    for number, error in ((1, Conflict), (2, Conflict), (4, ModelVersionNotFound)):
        with pytest.raises(error):
            await registry.set_alias(NAME, CHAMPION, number, "")
    with pytest.raises(RegisteredModelNotFound):
        await registry.set_alias("spark.MPC.onlinepredictor", CHAMPION, 1, "")
    assert await registry.get_model(NAME) == before


async def test_the_history_of_aliases_is_bounded(registry: ModelRegistry) -> None:
    for _ in range(2):
        await register(registry)
    for index in range(ALIAS_CHANGES_KEPT + 5):
        model = await registry.set_alias(NAME, CHAMPION, 1 + index % 2, str(index))
    reasons = [change.reason for change in model.alias_changes]
    assert reasons == [str(index) for index in range(5, ALIAS_CHANGES_KEPT + 5)]


# --- deletion -----------------------------------------------------------------------------------


async def test_a_version_that_an_alias_names_is_not_deleted(registry: ModelRegistry) -> None:
    await register(registry)
    await registry.set_alias(NAME, "candidate", 1, "")
    with pytest.raises(Conflict, match="candidate"):
        await registry.delete_version(NAME, 1)
    assert (await registry.get_version(NAME, 1)).state is READY
    await registry.remove_alias(NAME, "candidate", "")
    assert (await registry.delete_version(NAME, 1)).state is DELETED


async def test_deleting_twice_is_deleting_once(registry: ModelRegistry) -> None:
    new = new_version()
    await registry.register(new, allowed)
    assert await registry.artifact_keys() == {new.artifact_key}
    deleted = await registry.delete_version(NAME, 1)
    assert "deleted at 20" in deleted.state_reason
    await asyncio.sleep(1.1)  # the reason tells seconds
    assert await registry.delete_version(NAME, 1) == deleted
    assert await registry.artifact_keys() == set()
    assert not await registry.set_state(NAME, 1, READY, "")
    assert not await registry.set_state(NAME, 1, DAMAGED, "")
    assert (await register(registry)).version == 2  # the number is not used again
    with pytest.raises(ModelVersionNotFound):
        await registry.delete_version(NAME, 3)


async def test_an_alias_never_names_what_is_deleted_at_the_same_moment(registry: ModelRegistry) -> None:
    outcomes = set()
    for number in range(1, 31):
        await register(registry)
        naming = registry.set_alias(NAME, CHAMPION, number, "")
        deleting = registry.delete_version(NAME, number)
        both = [naming, deleting] if number % 2 else [deleting, naming]
        results = await asyncio.gather(*both, return_exceptions=True)
        assert sum(isinstance(result, Conflict) for result in results) == 1, results
        champion = await champion_of(registry)
        deleted = (await registry.get_version(NAME, number)).state is DELETED
        assert deleted != (champion == number)
        outcomes.add(deleted)
    assert outcomes == {False, True}


async def test_nothing_is_promoted_that_is_deleted_at_the_same_moment(registry: ModelRegistry) -> None:
    champion = None
    for number in range(1, 16):
        await register(registry)
        await asyncio.gather(
            registry.record_promotion(NAME, number, verdict(champion)),
            registry.delete_version(NAME, number),
            return_exceptions=True,
        )
        champion = await champion_of(registry)
        deleted = (await registry.get_version(NAME, number)).state is DELETED
        assert deleted != (champion == number)


# --- damage -------------------------------------------------------------------------------------


async def test_a_damaged_champion_gives_way_to_the_last_that_can_serve(
    registry: ModelRegistry, store: FolderStore
) -> None:
    """Versions 1, 2 and 4 have served; 3 never has."""
    for number in range(1, 5):
        await publish(registry, store, champion=number != 3)
    assert await registry.set_state(NAME, 2, DAMAGED, "not the champion")
    assert await champion_of(registry) == 4
    assert await registry.set_state(NAME, 4, DAMAGED, "a bit")
    assert not await registry.set_state(NAME, 4, DAMAGED, "a bit")
    model = await registry.get_model(NAME)
    assert model.champion == 1
    assert model.alias_changes[-1].previous == 4
    assert model.alias_changes[-1].reason == "version 4: a bit"
    damaged = await registry.get_version(NAME, 4)
    assert (damaged.state, damaged.state_reason) == (DAMAGED, "a bit")
    assert await registry.set_state(NAME, 1, DAMAGED, "a bit")
    assert await champion_of(registry) is None
    assert await registry.find_champion(NAME) is None


async def test_several_damaged_champions_in_a_row_end_at_the_first_that_is_ready(
    registry: ModelRegistry, store: FolderStore
) -> None:
    for _ in range(5):
        await publish(registry, store)
    served = []
    for _ in range(4):
        champion = await champion_of(registry)
        assert champion is not None
        served.append(champion)
        await registry.set_state(NAME, champion, DAMAGED, "a bit")
    assert served == [5, 4, 3, 2]
    assert await champion_of(registry) == 1


async def test_a_deleted_version_does_not_come_back_to_serve(
    registry: ModelRegistry, store: FolderStore
) -> None:
    for _ in range(3):
        await publish(registry, store)
    await registry.delete_version(NAME, 2)
    await registry.set_state(NAME, 3, DAMAGED, "a bit")
    assert await champion_of(registry) == 1


async def test_a_restored_version_is_ready_and_may_be_named(
    registry: ModelRegistry, store: FolderStore
) -> None:
    for _ in range(2):
        await publish(registry, store)
    await registry.set_state(NAME, 2, DAMAGED, "a bit")
    assert await registry.set_state(NAME, 2, READY, "")
    assert not await registry.set_state(NAME, 2, READY, "")
    restored = await registry.get_version(NAME, 2)
    assert (restored.state, restored.state_reason) == (READY, "")
    assert await champion_of(registry) == 1  # who serves is not changed behind anybody's back
    assert (await registry.set_alias(NAME, CHAMPION, 2, "")).champion == 2


async def test_damage_that_several_services_find_at_once_is_told_once(
    registry: ModelRegistry, store: FolderStore
) -> None:
    for _ in range(3):
        await publish(registry, store)
    told = await asyncio.gather(*(registry.set_state(NAME, 3, DAMAGED, "a bit") for _ in range(8)))
    assert told.count(True) == 1
    assert await champion_of(registry) == 2


# --- paging -------------------------------------------------------------------------------------


async def test_versions_are_paged_without_gaps_or_repeats(registry: ModelRegistry) -> None:
    for _ in range(11):
        await register(registry)
    for number in (2, 5, 6, 11):
        await registry.delete_version(NAME, number)
    await registry.set_state(NAME, 3, DAMAGED, "a bit")

    async def paged(state: VersionState | None, limit: int) -> list[int]:
        numbers: list[int] = []
        while True:
            before = numbers[-1] if numbers else None
            page = await registry.versions(NAME, state=state, before=before, limit=limit)
            if not page:
                return numbers
            assert all(not version.training_data.run_ids for version in page)
            numbers += [version.version for version in page]
            if len(numbers) == limit:
                await register(registry)  # newer ones do not move what is left

    for limit in (1, 2, 3, 7):
        assert [number for number in await paged(None, limit) if number <= 11] == [10, 9, 8, 7, 4, 3, 1]
    assert await paged(DELETED, 3) == [11, 6, 5, 2]
    assert await paged(DAMAGED, 3) == [3]


async def test_models_are_paged_without_gaps_or_repeats(registry: ModelRegistry) -> None:
    names = [f"A{number}" for number in range(7)] + ["a b", "a.b", "a+b"]
    for algorithm_name in names:
        await register(registry, algorithm_name=algorithm_name)
    await register(registry, algorithm_name="A3", kind="otherkind")
    await registry.delete_version("spark.A5.onlinepredictor", 1)  # its model stays, and its number
    found: list[str] = []
    while page := await registry.models(after=found[-1] if found else None, limit=3):
        found += [model.name for model in page]
    assert found == sorted([f"spark.{name}.onlinepredictor" for name in names] + ["spark.A3.otherkind"])
    of_one = await registry.models(algorithm_name="A3")
    assert [model.kind for model in of_one] == ["onlinepredictor", "otherkind"]
    assert not await registry.models(algorithm_name="A")


async def test_models_of_two_databases_are_separate(registry: ModelRegistry, mongo: Client) -> None:
    await register(registry)
    assert not await ModelRegistry(mongo, f"other_{uuid.uuid4().hex[:12]}").models()


async def test_the_newest_version_is_found_in_whatever_state(registry: ModelRegistry) -> None:
    for _ in range(2):
        await register(registry)
    await registry.delete_version(NAME, 2)
    latest = await registry.find_latest(NAME)
    assert latest is not None
    assert latest.version == 2
    assert latest.training_data.run_ids


def test_artifact_ids_sort_by_time_and_differ() -> None:
    first, second = new_artifact_id("aa"), new_artifact_id("bb")
    assert first != second
    assert first[:16] <= second[:16]


async def test_a_version_that_was_taken_back_does_not_come_again_by_itself(
    registry: ModelRegistry, store: FolderStore
) -> None:
    for _ in range(4):
        await publish(registry, store)
    await registry.set_alias(NAME, CHAMPION, 2, "4 and 3 were worse")
    assert await registry.set_state(NAME, 2, DAMAGED, "a bit")
    assert await champion_of(registry) == 1
