"""First scale-outs and recommendations from a real history, model and worker."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import torch

from common.artifacts import FolderStore
from common.configuration import PredictionSettings
from common.events import PredictionRequest, UpdateInformation
from common.executions import ExecutionRepository
from common.registered_models import read_version
from common.registry import ModelRegistry
from prediction.forecaster import Forecaster
from prediction.initial import InitialScaleOutChooser
from prediction.model_cache import ModelCache
from prediction.models import Models
from prediction.predictor import Predictor, ScaleOutRecommendation
from prediction.worker import WorkerPool
from tests.finished_runs import JOBS
from tests.registered import publish
from tests.samples import application_start, execution, job_end
from tests.training.test_supervisor import store_history
from training.artifact import Hyperparameters
from training.loop import pretrain
from training.records import to_run_record


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(workers=1, timeout_seconds=60.0)
    yield pool
    await pool.close()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def forecaster(
    executions: ExecutionRepository, registry: ModelRegistry, store: FolderStore, pool: WorkerPool
) -> Forecaster:
    cache = ModelCache(partial(read_version, store), entries=2, size_bytes=1 << 30)
    return Forecaster(executions, Models(registry, store, cache, pool), pool)


@pytest.fixture
def predictor(executions: ExecutionRepository, forecaster: Forecaster) -> Predictor:
    return Predictor(executions, forecaster, PredictionSettings())


@pytest.fixture
def chooser(forecaster: Forecaster) -> InitialScaleOutChooser:
    return InitialScaleOutChooser(forecaster, PredictionSettings())


async def train(
    executions: ExecutionRepository,
    registry: ModelRegistry,
    store: FolderStore,
    *,
    truncated: bool = False,
) -> None:
    history = [
        to_run_record(earlier, jobs) for earlier, jobs in await executions.finished_runs("spark", "KMeans", 9)
    ]
    torch.set_num_threads(1)  # several threads on small tensors only wait for each other
    model = pretrain(history, Hyperparameters(), max_epochs=20, seed=0)
    files = model.to_files()
    if truncated:
        files["weights.safetensors"] = files["weights.safetensors"][:100]
    await publish(registry, store, files)


async def report_first_job(
    predictor: Predictor, executions: ExecutionRepository, **global_specs: object
) -> ScaleOutRecommendation:
    """A run at two executors whose first job took three seconds, as in the history."""
    run = execution(**global_specs)
    await executions.insert(run)
    start = UpdateInformation.model_validate(application_start(run.id))
    await executions.apply_event(run.id, start.event())
    return await predictor.recommend(PredictionRequest.model_validate(job_end(run.id, 0)))


async def test_without_history_the_requested_scale_out_is_the_first(chooser: InitialScaleOutChooser) -> None:
    chosen = await chooser.choose(execution())
    assert chosen.scale_out == 2
    assert "requested" in chosen.reason
    assert chosen.predicted_runtime_seconds is None


@pytest.mark.parametrize(("target", "lowest", "highest"), [(1000.0, 1, 1), (14.0, 3, 5), (1.0, 6, 8)])
@pytest.mark.parametrize("trained", [False, True])
async def test_the_first_scale_out_fits_the_target(
    chooser: InitialScaleOutChooser,
    executions: ExecutionRepository,
    registry: ModelRegistry,
    store: FolderStore,
    target: float,
    lowest: int,
    highest: int,
    trained: bool,
) -> None:
    """Runs take 2 s and then 6 jobs of 6 / scale-out + 0.2 seconds: 21 s with 2, 12 s with 4."""
    await store_history(executions)
    if trained:
        await train(executions, registry, store)
    chosen = await chooser.choose(execution(max_runtime=target))
    assert lowest <= chosen.scale_out <= highest, chosen
    assert ("the model" in chosen.reason) == trained
    assert chosen.predicted_runtime_seconds is not None
    if chosen.scale_out in (3, 4):
        expected = 2 + JOBS * (6 / chosen.scale_out + 0.2)
        assert chosen.predicted_runtime_seconds == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("solution_name", ["enel", "ellis"])
async def test_a_run_that_is_too_slow_is_given_more(
    predictor: Predictor,
    executions: ExecutionRepository,
    registry: ModelRegistry,
    store: FolderStore,
    solution_name: str,
) -> None:
    await store_history(executions)
    await train(executions, registry, store)
    given = await report_first_job(predictor, executions, solution_name=solution_name, max_runtime=19.0)
    assert [job_id for job_id, _ in given.scale_outs] == [1, 2, 3, 4, 5], given.reason
    assert {scale_out for _, scale_out in given.scale_outs} <= {3, 4, 5, 6, 7, 8}
    seconds = [remaining for _, remaining in given.remaining_seconds]
    assert seconds == sorted(seconds, reverse=True)
    assert 3.0 < seconds[0] < 16.0


async def test_a_run_with_time_to_spare_gives_executors_up(
    predictor: Predictor, executions: ExecutionRepository, registry: ModelRegistry, store: FolderStore
) -> None:
    await store_history(executions)
    await train(executions, registry, store)
    given = await report_first_job(predictor, executions, max_runtime=1000.0)
    assert {scale_out for _, scale_out in given.scale_outs} == {1}


async def test_nothing_above_what_the_platform_holds_is_recommended(
    predictor: Predictor, executions: ExecutionRepository, registry: ModelRegistry, store: FolderStore
) -> None:
    await store_history(executions)
    await train(executions, registry, store)
    run = execution(max_runtime=6.0).model_copy(update={"max_scale_out_in_effect": 3})
    await executions.insert(run)
    given = await predictor.recommend(PredictionRequest.model_validate(job_end(run.id, 0)))
    assert {scale_out for _, scale_out in given.scale_outs} == {3}
    [decision] = await executions.decisions(run.id)
    assert [candidate.scale_out for candidate in decision.candidates] == [1, 2, 3]


async def test_a_static_run_is_left_alone(predictor: Predictor, executions: ExecutionRepository) -> None:
    given = await report_first_job(predictor, executions, solution_name="static")
    assert not given.scale_outs
    assert "static" in given.reason


async def test_a_truncated_model_is_told_and_the_job_is_stored(
    predictor: Predictor, executions: ExecutionRepository, registry: ModelRegistry, store: FolderStore
) -> None:
    await store_history(executions)
    await train(executions, registry, store, truncated=True)
    given = await report_first_job(predictor, executions, max_runtime=14.0)
    assert not given.scale_outs
    assert "the forecast failed" in given.reason
    assert "ArtifactInvalid" in given.reason
    [newest] = await executions.newest(limit=1)
    assert newest.last_job_id == 0
