"""What a training of the online predictor reads, and where its work is done."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.settings.training import TrainingSettings
from prediction.kinds import online_predictor
from prediction.kinds.online_predictor import OnlinePredictor
from tests.support.finished_runs import SCALE_OUTS, store_history


class Watched(ExecutionRepository):
    """Counts the runs that are read with all their jobs."""

    read = 0

    async def finished_runs(self, system_name: str, algorithm_name: str, limit: int) -> Any:
        found = await super().finished_runs(system_name, algorithm_name, limit)
        self.read += len(found)
        return found


async def test_a_training_reads_no_more_runs_than_it_learns_from(
    executions: ExecutionRepository, mongo: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_history(executions)
    monkeypatch.setattr(online_predictor, "MAX_HISTORY_RUNS", 2)
    watched = Watched(mongo, database)
    kind = OnlinePredictor(watched, TrainingSettings(training_max_history_runs=200))
    material = await kind.collect("spark", "KMeans", trials=1, champion=None)
    assert watched.read == 2 < len(SCALE_OUTS)
    latest = [run.id for run, _ in await executions.finished_runs("spark", "KMeans", 2)]
    assert sorted(material.training_data.run_ids) == sorted(latest)


async def test_runs_are_converted_beside_the_event_loop(
    executions: ExecutionRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of many stages take seconds, in which no report was answered."""
    threads: dict[str, set[int]] = {}

    def watched(name: str) -> Callable[..., Any]:
        convert = getattr(online_predictor, name)

        def converted(*arguments: Any) -> Any:
            threads.setdefault(name, set()).add(threading.get_ident())
            return convert(*arguments)

        return converted

    await store_history(executions)
    for name in ("to_run_record", "history_to_json"):
        monkeypatch.setattr(online_predictor, name, watched(name))
    kind = OnlinePredictor(executions, TrainingSettings())
    material = await kind.collect("spark", "KMeans", trials=1, champion=None)
    assert len(material.request["history"]) == len(SCALE_OUTS)
    assert threads.keys() == {"to_run_record", "history_to_json"}
    assert threading.get_ident() not in set().union(*threads.values())
