"""Which trained model serves an algorithm."""

from dataclasses import dataclass

from common.errors import ModelNotFound
from prediction.forecast import PreloadRequest, preload
from prediction.model_cache import Files, ModelCache
from prediction.worker import WorkerPool
from training.runs import TrainingRun, TrainingRunRepository

ONLINE_PREDICTOR = "onlinepredictor"
"""The one kind of model there is so far: it forecasts what is left of a run."""

MODEL_NAMES = (ONLINE_PREDICTOR,)

BASE_NAMES = {
    "gbt": "GradientBoostedTrees",
    "mpc": "MPC",
    "logisticregression": "LogisticRegression",
    "kmeans": "KMeans",
}
"""Short names of the benchmark algorithms."""


@dataclass(frozen=True)
class ServedModel:
    key: str
    files: Files


class Models:
    """Finds the current model of an algorithm and keeps it in memory."""

    def __init__(self, runs: TrainingRunRepository, cache: ModelCache, pool: WorkerPool) -> None:
        self._runs = runs
        self._cache = cache
        self._pool = pool

    async def find(self, system_name: str, algorithm_name: str) -> ServedModel | None:
        """The current model, or None where none is trained yet."""
        run = await self._runs.find_current_model(system_name, algorithm_name, ONLINE_PREDICTOR)
        if run is None or run.result is None:
            return None
        return ServedModel(run.result.artifact_key, await self._cache.get(run.result.artifact_key))

    async def preload(self, base_name: str, system_name: str = "spark") -> TrainingRun:
        """Have the current model of an algorithm ready, in memory and in a worker.

        Returns:
            The training that made it.
        Raises:
            ModelNotFound: None is trained.
            WorkerFailed: It cannot be used.
        """
        algorithm_name = BASE_NAMES.get(base_name.lower(), base_name)
        run = await self._runs.find_current_model(system_name, algorithm_name, ONLINE_PREDICTOR)
        if run is None or run.result is None:
            raise ModelNotFound(f"No model is trained for {algorithm_name!r}.")
        files = await self._cache.get(run.result.artifact_key)
        await self._pool.run(preload, PreloadRequest(dict(files), run.result.artifact_key))
        return run
