"""Trainings with a real search in a real child process; what is stored is the truth about them."""

import asyncio
import contextlib
import json
import stat
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr

from common.executions.repository import ExecutionRepository
from common.instruments import TRIAL_STATES, Instruments
from common.loops import running
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.mongo.types import Client
from common.processes.guarded import free_port, owner_is_dead, service_identity
from common.processes.ray_access import RayAccess
from common.settings.training import TrainingSettings
from prediction.kinds.registry import model_kinds
from tests.support.clocks import Clocks
from tests.support.finished_runs import JOBS, SCALE_OUTS, store_history
from tests.support.left_processes import command_line, processes_of
from tests.support.samples import application_start, execution, job_end, unique_name
from tests.support.scraping import Counted
from training.kinds import TrainingFailed
from training.promotion.gate import PromotionGate
from training.runs.documents import TrainingRun, TrainingState
from training.runs.outbox import Outbox
from training.runs.publishing import Publisher
from training.runs.repository import TrainingRunRepository
from training.runs.supervisor import MAX_ATTEMPTS, TrainingSupervisor
from training.runtime_model.artifact import TrainedModel


@pytest.fixture
async def runs(mongo: Client, database: str) -> TrainingRunRepository:
    repository = TrainingRunRepository(mongo, database)
    await repository.create_indexes()
    return repository


@pytest.fixture
def publisher(
    runs: TrainingRunRepository, registry: ModelRegistry, executions: ExecutionRepository, tmp_path: Path
) -> Publisher:
    store = FolderStore(tmp_path / "models")
    gate = PromotionGate(registry, store, model_kinds(executions, TrainingSettings()), tmp_path / "training")
    return Publisher(runs, registry, store, gate, Outbox(tmp_path), 0.3)


@pytest.fixture
def instruments() -> Instruments:
    return Instruments()


@pytest.fixture
def supervisor(
    runs: TrainingRunRepository,
    executions: ExecutionRepository,
    registry: ModelRegistry,
    publisher: Publisher,
    tmp_path: Path,
    instruments: Instruments,
) -> TrainingSupervisor:
    settings = TrainingSettings(training_heartbeat_seconds=0.3, training_concurrent_trials=1)
    kinds = model_kinds(executions, settings)
    return TrainingSupervisor(runs, registry, kinds, publisher, settings, tmp_path, instruments)


def working(supervisor: TrainingSupervisor) -> contextlib.AbstractAsyncContextManager[None]:
    """Carries trainings out and publishes them, until the context ends."""
    return running([supervisor.loop(), *supervisor.publisher.loops()])


async def enqueue(
    runs: TrainingRunRepository,
    algorithm_name: str = "KMeans",
    trials: int = 2,
    kind: str = "onlinepredictor",
) -> str:
    run = await runs.enqueue(
        system_name="spark",
        algorithm_name=algorithm_name,
        model_name=kind,
        experiment_name="tests",
        trials=trials,
    )
    return run.id


async def until(runs: TrainingRunRepository, run_id: str, *states: TrainingState) -> TrainingRun:
    for _ in range(1200):
        run = await runs.get(run_id)
        if run.state in states:
            return run
        await asyncio.sleep(0.1)
    raise AssertionError(f"still {run.state}: {run.log}")


def children(folder: Path) -> list[psutil.Process]:
    """Searches of this test alone: others may run beside it."""
    return [process for process in processes_of(folder) if "training.search.process" in command_line(process)]


async def killed(run_id: str, attempt: int, runs: TrainingRunRepository, folder: Path) -> None:
    """The child of this attempt, as the kernel kills what takes too much memory."""
    while (run := await runs.get(run_id)).attempts < attempt or run.state is not TrainingState.RUNNING:
        await asyncio.sleep(0.05)
    # Not its guard, which has the same among its arguments, but further behind.
    while not (
        found := [each for each in children(folder) if "training.search.process" in command_line(each)[:3]]
    ):
        await asyncio.sleep(0.05)
    found[0].kill()


async def test_a_training_that_is_killed_is_tried_once_more_learns_reports_and_saves_its_model(
    supervisor: TrainingSupervisor,
    runs: TrainingRunRepository,
    executions: ExecutionRepository,
    registry: ModelRegistry,
    tmp_path: Path,
    instruments: Instruments,
) -> None:
    await store_history(executions)
    run_id = await enqueue(runs)
    async with working(supervisor):
        await killed(run_id, 1, runs, tmp_path)
        run = await until(runs, run_id, TrainingState.SUCCEEDED, TrainingState.FAILED)
        while await supervisor.publisher.kept():  # the outbox is emptied after the run has ended
            await asyncio.sleep(0.05)
    assert run.state is TrainingState.SUCCEEDED, run.detail
    assert run.attempts == 2
    [how] = run.killed
    assert how.startswith("attempt 1: its process was killed")
    assert "no memory left" in how
    assert any(how in line and "tried once more" in line for line in run.log)
    counted = Counted(instruments.registry)
    for state in TRIAL_STATES:
        trials = [trial for trial in run.trials if trial.state == state]
        assert counted("enel_training_trials_total", state=state) == len(trials)
    assert len(run.trials) == 2
    assert (run.trials_done, run.trials_total) == (2, 2)
    assert (run.history_runs, run.history_jobs) == (len(SCALE_OUTS), len(SCALE_OUTS) * JOBS)
    assert run.best_loss is not None
    assert any("trial 2/2" in line for line in run.log)
    assert run.result is not None
    assert run.result.hyperparameters
    files = await FolderStore(tmp_path / "models").read(run.result.artifact_key)
    assert set(files) == {"model.json", "weights.safetensors"}
    assert json.loads(files["model.json"])["kind"] == "onlinepredictor"
    TrainedModel.from_files(files)
    assert (run.result.model, run.result.version) == ("spark.KMeans.onlinepredictor", 1)
    assert run.result.promotion is not None
    assert run.result.promotion.promoted
    champion = await registry.find_champion("spark.KMeans.onlinepredictor")
    assert champion is not None
    assert champion.training_data.runs == len(SCALE_OUTS)
    assert champion.artifact_key == run.result.artifact_key
    assert not children(tmp_path)
    assert not (tmp_path / "training" / run_id).exists()


async def test_a_running_training_is_cancelled_with_its_processes(
    supervisor: TrainingSupervisor,
    runs: TrainingRunRepository,
    executions: ExecutionRepository,
    tmp_path: Path,
) -> None:
    await store_history(executions)
    run_id = await enqueue(runs, trials=1000)
    async with working(supervisor):
        await until(runs, run_id, TrainingState.RUNNING)
        while not children(tmp_path):
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        await runs.request_cancel(run_id)
        run = await until(runs, run_id, TrainingState.CANCELLED)
        assert not children(tmp_path)
    assert run.finished_at is not None


async def test_a_waiting_training_is_cancelled_at_once(runs: TrainingRunRepository) -> None:
    run_id = await enqueue(runs)
    assert (await runs.request_cancel(run_id)).state is TrainingState.CANCELLED
    assert await runs.claim("somebody") is None


async def test_a_failing_search_is_told(supervisor: TrainingSupervisor, runs: TrainingRunRepository) -> None:
    run_id = await enqueue(runs, algorithm_name="NoHistory")
    async with working(supervisor):
        run = await until(runs, run_id, TrainingState.FAILED)
    assert "history" in run.detail


async def test_a_training_of_a_kind_that_only_a_newer_service_knows_fails_alone(
    supervisor: TrainingSupervisor, runs: TrainingRunRepository
) -> None:
    unknown, next_one = await enqueue(runs, kind="oracle"), await enqueue(runs, "NoHistory")
    async with working(supervisor):
        run = await until(runs, unknown, TrainingState.FAILED)
        await until(runs, next_one, TrainingState.FAILED)
    told = "This service cannot train such models: model_name is 'oracle'; known: onlinepredictor"
    assert run.detail.startswith(told)
    assert {listed.model_name for listed in await runs.newest()} == {"oracle", "onlinepredictor"}


async def test_stopping_the_service_queues_the_training_again(
    supervisor: TrainingSupervisor,
    runs: TrainingRunRepository,
    executions: ExecutionRepository,
    tmp_path: Path,
) -> None:
    await store_history(executions)
    run_id = await enqueue(runs, trials=1000)
    async with working(supervisor):
        await until(runs, run_id, TrainingState.RUNNING)
    run = await runs.get(run_id)
    assert run.state is TrainingState.QUEUED
    assert "stopped" in run.detail
    assert not children(tmp_path)


async def test_stopping_the_service_while_it_takes_a_training_queues_it_again(
    supervisor: TrainingSupervisor,
    runs: TrainingRunRepository,
    executions: ExecutionRepository,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    await store_history(executions)
    run_id = await enqueue(runs)
    claim = runs.claim

    async def stored_but_not_heard_of(owner: str) -> TrainingRun | None:
        claimed = await claim(owner)
        await asyncio.sleep(0.5)
        return claimed

    monkeypatch.setattr(runs, "claim", stored_but_not_heard_of)
    async with working(supervisor):
        await until(runs, run_id, TrainingState.RUNNING)
    run = await runs.get(run_id)
    assert run.state is TrainingState.QUEUED
    assert run.attempts == 0  # nothing was tried
    assert not children(tmp_path)


async def test_a_training_whose_service_died_starts_over_and_then_fails(
    supervisor: TrainingSupervisor, runs: TrainingRunRepository
) -> None:
    run_id = await enqueue(runs)
    dead = service_identity().rsplit("/", 1)[0] + "/1.00"
    assert owner_is_dead(dead)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        claimed = await runs.claim(dead)
        assert claimed is not None
        assert claimed.attempts == attempt
        await supervisor.recover_dead()
    run = await runs.get(run_id)
    assert run.state is TrainingState.FAILED
    assert "stopped during attempt 3" in run.detail


async def test_a_training_that_is_killed_twice_fails_and_tells_of_both_attempts(
    supervisor: TrainingSupervisor,
    runs: TrainingRunRepository,
    executions: ExecutionRepository,
    tmp_path: Path,
) -> None:
    await store_history(executions)
    run_id = await enqueue(runs, trials=1000)
    async with working(supervisor):
        await killed(run_id, 1, runs, tmp_path)
        await killed(run_id, 2, runs, tmp_path)
        run = await until(runs, run_id, TrainingState.FAILED)
    assert [told.split(":")[0] for told in run.killed] == ["attempt 1", "attempt 2"]
    assert run.detail == "; ".join(run.killed)
    assert "no memory left" in run.detail
    assert not children(tmp_path)


async def test_a_training_whose_ray_cluster_is_away_is_tried_once_more_and_says_why(
    runs: TrainingRunRepository,
    executions: ExecutionRepository,
    registry: ModelRegistry,
    publisher: Publisher,
    tmp_path: Path,
) -> None:
    await store_history(executions)
    settings = TrainingSettings(training_heartbeat_seconds=0.3, training_concurrent_trials=1)
    kinds = model_kinds(executions, settings)
    address = f"127.0.0.1:{free_port()}"
    away = RayAccess(address, SecretStr("hunter2"))
    supervisor = TrainingSupervisor(runs, registry, kinds, publisher, settings, tmp_path, cluster=away)
    run_id = await enqueue(runs)
    async with working(supervisor):
        token_file = tmp_path / "training" / run_id / "ray-token"
        while not token_file.exists():
            await asyncio.sleep(0.02)
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        assert "hunter2" not in (token_file.parent / "request.json").read_text()
        run = await until(runs, run_id, TrainingState.FAILED)
    assert run.attempts == 2
    assert run.detail == "; ".join(run.killed)
    assert run.detail.count(f"RAY_ADDRESS ({address}) cannot be used: ConnectionRefusedError") == 2
    assert "hunter2" not in run.model_dump_json()
    assert not (tmp_path / "training" / run_id).exists()


async def test_a_living_service_elsewhere_keeps_its_training(
    runs: TrainingRunRepository,
    executions: ExecutionRepository,
    registry: ModelRegistry,
    publisher: Publisher,
    mongo: Client,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As long as it gives signs of life, whatever the clocks on both sides say."""
    clocks = Clocks(monkeypatch)
    settings = TrainingSettings(training_heartbeat_seconds=60)
    kinds = model_kinds(executions, settings)
    supervisor = TrainingSupervisor(runs, registry, kinds, publisher, settings, tmp_path)
    await enqueue(runs)
    claimed = await runs.claim("another-host/1/1.00")
    assert claimed is not None
    await supervisor.recover_dead()
    assert (await runs.get(claimed.id)).state is TrainingState.RUNNING
    for jump in (clocks.set_forward, clocks.set_back, clocks.set_back):
        jump(hours=2)
        clocks.pass_seconds(4 * 60)
        await supervisor.recover_dead()
        assert (await runs.get(claimed.id)).state is TrainingState.RUNNING
        assert await runs.report(claimed.id, "another-host/1/1.00", {}) is not None
        await supervisor.recover_dead()
    clocks.set_back(hours=2)
    clocks.pass_seconds(5 * 60 + 1)
    await supervisor.recover_dead()
    assert (await runs.get(claimed.id)).state is TrainingState.QUEUED


async def test_two_services_never_take_the_same_training(runs: TrainingRunRepository) -> None:
    for _ in range(3):
        await enqueue(runs)
    claimed = await asyncio.gather(*(runs.claim(f"service-{index}") for index in range(8)))
    ids = [run.id for run in claimed if run]
    assert len(ids) == len(set(ids)) == 3


async def test_over_http_a_training_is_followed_and_then_recommends(
    service: httpx.AsyncClient, mongo: Client
) -> None:
    """Trigger, events, preload, and a recommendation for a run that is too slow."""
    executions = ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]
    algorithm_name = unique_name("Steered")
    await store_history(executions, algorithm_name)
    request = {
        "system_name": "spark",
        "algorithm_name": algorithm_name,
        "model_name": "onlinepredictor",
        "trials": 1,
    }
    started = await service.post("/training/trigger_model_training", json=request)
    assert started.status_code == 202
    training_id = started.json()["training_id"]
    assert started.headers["location"] == f"/training/runs/{training_id}"

    while True:
        run = (await service.get(f"/training/runs/{training_id}")).json()
        if run["state"] in ("SUCCEEDED", "FAILED"):
            break
        await asyncio.sleep(0.2)
    assert run["state"] == "SUCCEEDED", run["detail"]
    assert run["id"] == training_id
    events = (await service.get(f"/training/runs/{training_id}/events")).text
    assert '"state":"SUCCEEDED"' in events.replace(": ", ":").replace('": "', '":"')
    listed = (await service.get("/training/runs", params={"limit": 1})).json()
    assert listed["items"][0]["id"] == training_id
    assert (await service.post(f"/training/runs/{training_id}/cancel")).status_code == 409
    assert (await service.get(f"/preload/{algorithm_name}")).status_code == 200

    steered = execution(algorithm_name=algorithm_name, max_runtime=20.0)
    await executions.insert(steered)
    await service.post("/training/update_information", json=application_start(steered.id))
    body = {**job_end(steered.id, 0, runtime_seconds=3.0), "predict": True}
    answer = (await service.post("/prediction/online_scale_out_prediction", json=body)).json()
    scale_outs = answer["best_predicted_scale_out_per_job"]
    assert [job_id for job_id, _ in scale_outs] == [1, 2, 3, 4, 5], answer
    assert all(2 < scale_out <= 8 for _, scale_out in scale_outs)
    remaining = [seconds for _, seconds in answer["best_predicted_runtime_per_job"]]
    assert remaining == sorted(remaining, reverse=True)
    assert 0 < remaining[0] <= 15.0
    [decision] = [d for d in await executions.decisions(steered.id) if d.job_id == 0]
    assert decision.chosen_scale_out == scale_outs[0][1]
    assert len(decision.candidates) == 8

    for job_id in range(1, 5):
        report = job_end(steered.id, job_id, runtime_seconds=3.0)
        assert (await service.post("/training/update_information", json=report)).status_code == 200
    last = {**job_end(steered.id, 5, runtime_seconds=3.0), "predict": True}
    answer = (await service.post("/prediction/online_scale_out_prediction", json=last)).json()
    assert answer["best_predicted_scale_out_per_job"] == []
    assert answer["reason"]


async def test_a_history_that_takes_long_to_read_is_no_silence(
    runs: TrainingRunRepository,
    executions: ExecutionRepository,
    supervisor: TrainingSupervisor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another service must not take a training for dead, and train, too."""
    run_id = await enqueue(runs)
    kind = supervisor._kinds.get("onlinepredictor")
    seen: list[object] = []

    async def collect(*_: object, **__: object) -> None:
        for _ in range(12):
            seen.append((await runs.get(run_id)).heartbeat_at)
            await asyncio.sleep(0.15)
        raise TrainingFailed("it is enough")

    monkeypatch.setattr(kind, "collect", collect)
    async with working(supervisor):
        await until(runs, run_id, TrainingState.FAILED)
    assert len(set(seen)) > 3
