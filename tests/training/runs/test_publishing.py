"""Publishing what was trained: to its end, while the store is away, and where it is no longer wanted."""

import asyncio
import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from common.executions.repository import ExecutionRepository
from common.instruments import Instruments
from common.loops import running
from common.models.artifacts import identify
from common.models.registry import ModelRegistry
from common.models.versions import CHAMPION, ModelVersion, Promotion, read_version
from common.mongo.types import Client
from common.settings.training import TrainingSettings
from prediction.kinds.registry import model_kinds
from tests.support.publishing.fixed_gate import FixedGate
from tests.support.publishing.publishing_service import HEARTBEAT_SECONDS, Service
from tests.support.registered import FILES, NAME, publish
from tests.support.scraping import Counted
from training.promotion.gate import PromotionGate
from training.runs.documents import TrainingRun, TrainingState
from training.runs.publishing import Publisher
from training.runs.repository import TrainingRunRepository


@pytest.fixture
def instruments() -> Instruments:
    return Instruments()


@pytest_asyncio.fixture
async def runs(mongo: Client, database: str, instruments: Instruments) -> TrainingRunRepository:
    repository = TrainingRunRepository(mongo, database, instruments)
    await repository.create_indexes()
    return repository


@pytest.fixture
def service(
    runs: TrainingRunRepository, registry: ModelRegistry, tmp_path: Path, instruments: Instruments
) -> Service:
    return Service(runs, registry, tmp_path, instruments)


def working(publisher: Publisher) -> contextlib.AbstractAsyncContextManager[None]:
    """Publishes until the context ends."""
    return running(publisher.loops())


async def until(service: Service, run_id: str, state: TrainingState, detail: str = "") -> TrainingRun:
    async with asyncio.timeout(20):
        while True:
            run = await service.runs.get(run_id)
            if run.state is state and detail in run.detail:
                return run
            await asyncio.sleep(0.02)


async def next_heartbeat(service: Service, run: TrainingRun) -> TrainingRun:
    async with asyncio.timeout(20):
        while (later := await service.runs.get(run.id)).heartbeat_at == run.heartbeat_at:
            await asyncio.sleep(0.02)
        return later


async def nothing_kept(publisher: Publisher) -> None:
    """The outbox is emptied last."""
    async with asyncio.timeout(20):
        while await publisher.kept():
            await asyncio.sleep(0.02)


# --- undisturbed --------------------------------------------------------------------------------


async def test_the_first_version_serves(service: Service) -> None:
    run, new = await service.train()
    assert await service.publisher().publish_all() == 0
    version = await service.registry.find_champion(NAME)
    assert version is not None
    assert (version.version, version.training_run_id) == (1, run.id)
    assert await read_version(service.store, version) == FILES
    run = await service.runs.get(run.id)
    assert run.state is TrainingState.SUCCEEDED
    assert run.detail.startswith(f"Version 1 of {NAME} serves")
    assert run.result is not None
    assert run.result.promotion == version.promotion
    assert (run.result.artifact_key, run.result.model, run.result.version) == (new.artifact_key, NAME, 1)
    assert await service.outbox.items() == []


@pytest.mark.parametrize("promoted", [True, False])
async def test_a_further_version_serves_if_the_gate_says_so(service: Service, promoted: bool) -> None:
    await service.publish()
    service.gate.promoted = promoted
    run, _ = await service.train()
    assert await service.publisher().publish_all() == 0
    assert await service.numbers() == [1, 2]
    assert await service.champion() == (2 if promoted else 1)
    run = await service.runs.get(run.id)
    assert run.state is TrainingState.SUCCEEDED
    assert ("is kept, but does not serve" in run.detail) == (not promoted)
    promotion = (await service.registry.get_version(NAME, 2)).promotion
    assert promotion is not None
    assert (promotion.promoted, promotion.champion_version) == (promoted, 1)


async def test_several_models_are_published_in_the_order_of_their_trainings(service: Service) -> None:
    trained = [(await service.train())[0].id for _ in range(3)]
    assert await service.publisher().publish_all() == 0
    results = [(await service.runs.get(run_id)).result for run_id in trained]
    assert sorted(result.version for result in results if result and result.version) == [1, 2, 3]
    assert await service.champion() == 3


# --- the store is away --------------------------------------------------------------------------


async def test_a_model_waits_for_its_store_with_signs_of_life_and_is_then_published(service: Service) -> None:
    service.store.away = True
    run, new = await service.train()
    publisher = service.publisher()
    async with working(publisher):
        waiting = await until(
            service, run.id, TrainingState.PUBLISHING, "publishing waits: The store is away"
        )
        for _ in range(3):
            waiting = await next_heartbeat(service, waiting)
            assert waiting.state is TrainingState.PUBLISHING
        assert await publisher.kept() == {new.artifact_id}
        assert await service.numbers() == await service.stored() == []
        service.store.away = False
        publisher.wake()
        run = await until(service, run.id, TrainingState.SUCCEEDED)
        await nothing_kept(publisher)
    assert run.result is not None
    assert run.result.version == await service.champion() == 1
    assert await service.stored() == [new.artifact_key]


async def test_nobody_has_to_tell_that_the_store_is_back(service: Service) -> None:
    service.store.away = True
    run, _ = await service.train()
    async with working(service.publisher()):
        await until(service, run.id, TrainingState.PUBLISHING, "waits")
        service.store.away = False
        await until(service, run.id, TrainingState.SUCCEEDED)


async def test_a_waiting_model_survives_restarts(service: Service) -> None:
    service.store.away = True
    run, _ = await service.train()
    for _ in range(3):
        publisher = service.publisher()
        await publisher.claim()
        assert await publisher.publish_all() == 1
    service.store.away = False
    assert await service.publisher().publish_all() == 0
    assert (await service.runs.get(run.id)).state is TrainingState.SUCCEEDED
    assert await service.numbers() == [1]


async def test_an_outbox_that_cannot_be_read_for_a_while_stops_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = await service.train()
    outbox = service.data_dir / "outbox"
    outbox.rename(service.data_dir / "elsewhere")
    outbox.symlink_to(outbox)  # a loop
    async with working(service.publisher()):
        await asyncio.sleep(5 * HEARTBEAT_SECONDS)
        outbox.unlink()
        (service.data_dir / "elsewhere").rename(outbox)
        await until(service, run.id, TrainingState.SUCCEEDED)


# --- no longer wanted ---------------------------------------------------------------------------


async def test_a_cancelled_model_that_waits_is_thrown_away(service: Service) -> None:
    """The heartbeat finds it, as the request may have come to another service."""
    service.store.away = True
    run, _ = await service.train()
    publisher = service.publisher()
    async with working(publisher):
        await until(service, run.id, TrainingState.PUBLISHING, "waits")
        await service.runs.request_cancel(run.id)
        run = await until(service, run.id, TrainingState.CANCELLED)
        await nothing_kept(publisher)
    assert run.detail == "cancelled on request"
    assert run.result is None
    assert await service.numbers() == await service.stored() == []


async def test_a_cancellation_after_the_registration_comes_too_late(service: Service) -> None:
    run, new = await service.train()
    publisher = service.publisher()
    await publisher.claim()
    await service.store.write(new.artifact_key, FILES)
    await publish_entry(service, run, new.artifact_id)
    await service.runs.request_cancel(run.id)
    assert await publisher.publish_all() == 0
    assert (await service.runs.get(run.id)).state is TrainingState.SUCCEEDED
    assert await service.champion() == 1


async def publish_entry(service: Service, run: TrainingRun, artifact_id: str) -> ModelVersion:
    """As an attempt does that is cut short after the registration."""
    new, _ = await service.outbox.get(artifact_id)

    async def fence(session: object) -> None:
        assert await service.runs.check_publishing(run.id, artifact_id, session)  # type: ignore[arg-type]

    return await service.registry.register(new, fence)


async def take_over(service: Service, run: TrainingRun) -> TrainingRun:
    """What another service does after a long silence."""
    owner = (await service.runs.get(run.id)).owner
    assert owner is not None
    await service.runs.put_back(run.id, owner, "silent for too long")
    taken = await service.runs.claim("another-host/1/1.00")
    assert taken is not None
    assert taken.id == run.id
    return taken


async def test_what_another_service_trains_again_is_not_published_too(service: Service) -> None:
    run, new = await service.train()
    await service.publisher().claim()
    await service.store.write(new.artifact_key, FILES)
    taken = await take_over(service, run)
    publisher = service.publisher()
    await publisher.claim()
    assert await publisher.publish_all() == 0
    assert await service.runs.get(run.id) == taken
    assert await service.numbers() == await service.stored() == await service.outbox.items() == []


async def test_nothing_is_registered_for_a_training_that_was_taken_over_during_the_writing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = await service.train()
    write = service.store.write

    async def slowly(key: str, files: Mapping[str, bytes]) -> None:
        await write(key, files)
        await take_over(service, run)

    monkeypatch.setattr(service.store, "write", slowly)
    assert await service.publisher().publish_all() == 0
    assert await service.numbers() == await service.stored() == await service.outbox.items() == []
    run = await service.runs.get(run.id)
    assert (run.state, run.owner) == (TrainingState.RUNNING, "another-host/1/1.00")


# --- the gate -----------------------------------------------------------------------------------


class Interrupted(FixedGate):
    """Something happens while the first comparison goes on."""

    async def judge(self, candidate: ModelVersion, files: Mapping[str, bytes]) -> Promotion:
        promotion = await super().judge(candidate, files)
        if self.judged == 1:
            await self.happens(candidate)
        return promotion

    async def happens(self, candidate: ModelVersion) -> None:
        raise RuntimeError("the comparison has a mistake")


async def test_a_champion_that_changes_meanwhile_is_compared_with_again(service: Service) -> None:
    class OtherChampion(Interrupted):
        async def happens(self, candidate: ModelVersion) -> None:
            await publish(service.registry, service.store)

    await service.publish()
    _, new = await service.train()
    gate = OtherChampion(service.registry)
    assert await service.publisher(gate).publish_all() == 0
    assert gate.judged == 2
    version = await service.registry.find_by_artifact(new.artifact_key)
    assert version is not None
    assert version.promotion is not None
    assert (version.version, version.promotion.champion_version) == (2, 3)
    assert await service.champion() == 2


async def test_signs_of_life_go_on_during_a_long_comparison(service: Service) -> None:
    class Slow(Interrupted):
        async def happens(self, candidate: ModelVersion) -> None:
            await next_heartbeat(service, await service.runs.get(run.id))

    run, _ = await service.train()
    assert await service.publisher(Slow(service.registry)).publish_all() == 0
    assert (await service.runs.get(run.id)).state is TrainingState.SUCCEEDED


async def test_an_unexpected_error_fails_the_training_and_the_champion_stays(service: Service) -> None:
    await service.publish()
    run, _ = await service.train()
    assert await service.publisher(Interrupted(service.registry)).publish_all() == 0
    run = await service.runs.get(run.id)
    assert run.state is TrainingState.FAILED
    assert run.detail == "The model cannot be published: RuntimeError: the comparison has a mistake"
    assert await service.champion() == 1
    assert await service.outbox.items() == []


async def test_a_version_that_is_deleted_during_its_comparison_does_not_come_to_serve(
    service: Service,
) -> None:
    class Deleting(Interrupted):
        async def happens(self, candidate: ModelVersion) -> None:
            await service.registry.delete_version(candidate.name, candidate.version)

    await service.publish()
    run, _ = await service.train()
    assert await service.publisher(Deleting(service.registry)).publish_all() == 0
    run = await service.runs.get(run.id)
    assert run.state is TrainingState.FAILED
    assert "Version 2" in run.detail
    assert "deleted" in run.detail
    assert await service.champion() == 1


async def test_a_version_that_somebody_makes_champion_before_its_comparison_is_published_to_the_end(
    service: Service, executions: ExecutionRepository
) -> None:
    class Hasty(PromotionGate):
        async def judge(self, candidate: ModelVersion, files: Mapping[str, bytes]) -> Promotion:
            await service.registry.set_alias(candidate.name, CHAMPION, candidate.version, "by hand")
            return await super().judge(candidate, files)

    await service.publish()
    run, _ = await service.train()
    kinds = model_kinds(executions, TrainingSettings())
    gate = Hasty(service.registry, service.store, kinds, service.data_dir)
    async with asyncio.timeout(10):
        assert await service.publisher(gate).publish_all() == 0
    assert (await service.runs.get(run.id)).state is TrainingState.SUCCEEDED
    model = await service.registry.get_model(NAME)
    assert (model.champion, model.aliases[CHAMPION].reason) == (2, "by hand")


async def test_a_model_that_was_kept_is_published_where_the_store_was_lost_with_all_versions(
    service: Service, executions: ExecutionRepository
) -> None:
    await identify(service.store)
    lost = await service.publish()
    run, new = await service.train()
    shutil.rmtree(service.data_dir / "store")
    await identify(service.store)
    kinds = model_kinds(executions, TrainingSettings())
    gate = PromotionGate(service.registry, service.store, kinds, service.data_dir)
    assert await service.publisher(gate).publish_all() == 0
    assert (await service.runs.get(run.id)).state is TrainingState.SUCCEEDED
    champion = await service.registry.find_champion(NAME)
    assert champion is not None
    assert (champion.version, champion.artifact_key) == (2, new.artifact_key)
    assert lost.store != champion.store == service.store.identity
    assert await read_version(service.store, champion) == FILES
    assert await service.outbox.items() == []


# --- what is counted of it ------------------------------------------------------------------------


async def test_trainings_and_verdicts_of_the_gate_are_counted(
    service: Service, instruments: Instruments
) -> None:
    counted = Counted(instruments.registry)
    for promoted in (True, False, False):
        service.gate.promoted = promoted
        await service.train()
        await service.publisher().publish_all()
    assert counted("enel_training_wait_seconds_count") == 3
    assert counted("enel_training_duration_seconds_count", state="SUCCEEDED") == 3
    assert counted("enel_model_promotions_total", outcome="promoted") == 1
    assert counted("enel_model_promotions_total", outcome="kept_back") == 2

    run, _ = await service.train()
    await service.runs.request_cancel(run.id)
    await service.publisher().publish_all()
    assert counted("enel_training_duration_seconds_count", state="CANCELLED") == 1


async def test_a_training_that_starts_over_has_waited_and_ended_once(
    service: Service, instruments: Instruments
) -> None:
    counted = Counted(instruments.registry)
    run_id = await service.queue_training()
    assert await service.runs.claim("one service") is not None
    await service.runs.put_back(run_id, "one service", "it stopped")
    assert await service.runs.claim("another service") is not None
    assert counted("enel_training_wait_seconds_count") == 1
    for owner in ("one service", "another service", "another service"):
        await service.runs.finish(run_id, owner, TrainingState.FAILED)
    assert counted("enel_training_duration_seconds_count", state="FAILED") == 1
