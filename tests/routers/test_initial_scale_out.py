"""The what-if question over HTTP: before a run, what would each scale-out do?"""

from typing import Any

import httpx
import pytest

from common.mongo.types import Client
from common.settings.prediction import PredictionSettings
from tests.support.finished_runs import JOBS, store_finished_runs
from tests.support.samples import specs, unique_name
from tests.support.served_model import Registered

URL = "/prediction/initial_scale_out"


async def ask(service: httpx.AsyncClient, **global_specs: Any) -> dict[str, Any]:
    answer = await service.post(URL, json=specs(**global_specs))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
async def algorithm(service: httpx.AsyncClient, mongo: Client) -> str:
    """Runs take 2 s and then 6 jobs of 6 / scale-out + 0.2 seconds."""
    registered = Registered(service, mongo)
    await store_finished_runs(registered.executions, registered.algorithm_name, (2, 3, 4, 6, 2, 4))
    return registered.algorithm_name


def expected_seconds(scale_out: int) -> float:
    return 2 + JOBS * (6 / scale_out + 0.2)


async def test_every_candidate_is_answered(service: httpx.AsyncClient, algorithm: str) -> None:
    found = await ask(service, algorithm_name=algorithm, max_runtime=16.0)
    assert [option["scale_out"] for option in found["candidates"]] == list(range(1, 9))
    by_scale_out = {option["scale_out"]: option for option in found["candidates"]}
    for scale_out in (2, 3, 4, 6):
        option = by_scale_out[scale_out]
        assert option["runtime_seconds"] == pytest.approx(expected_seconds(scale_out), rel=0.1)
        assert option["lower_seconds"] < expected_seconds(scale_out) < option["upper_seconds"]
        assert option["executor_seconds"] == pytest.approx(scale_out * option["runtime_seconds"])
    assert by_scale_out[2]["probability"] < 0.5 < by_scale_out[6]["probability"]
    assert 3 <= found["scale_out"] <= 5
    assert found["predicted_runtime_seconds"] == by_scale_out[found["scale_out"]]["runtime_seconds"]
    assert found["feasible"] is True
    assert found["source"] in ("similar-runs", "context-model")
    assert found["runs"] == 6


async def test_a_target_out_of_reach_is_answered_with_the_nearest(
    service: httpx.AsyncClient, algorithm: str
) -> None:
    found = await ask(service, algorithm_name=algorithm, max_runtime=3.0)
    assert found["feasible"] is False
    assert "fastest" in found["reason"]
    fastest, nearest = found["fastest_runtime_seconds"], found["nearest_feasible_target_seconds"]
    assert 3.0 < fastest < nearest
    again = await ask(service, algorithm_name=algorithm, max_runtime=nearest)
    assert again["feasible"] is True
    confidence = PredictionSettings().target_confidence
    best = max(option["probability"] for option in again["candidates"])
    assert best == pytest.approx(confidence, abs=0.01)


async def test_another_context_is_answered_with_less_certainty(
    service: httpx.AsyncClient, algorithm: str
) -> None:
    found = await ask(service, algorithm_name=algorithm, data_size_MB=800, machine_name="c9.huge")
    assert (found["source"], found["runs"]) == ("context-model", 6)
    assert "no earlier run on machine type 'c9.huge'" in found["reason"]
    known = await ask(service, algorithm_name=algorithm)

    def width(answer: dict[str, Any]) -> float:
        option = answer["candidates"][3]
        return float(option["upper_seconds"] / option["lower_seconds"])

    assert width(found) > width(known)


async def test_nothing_known_is_said_so(service: httpx.AsyncClient) -> None:
    name = unique_name("Unknown")
    found = await ask(service, algorithm_name=name)
    assert found == {
        "scale_out": 2,
        "reason": f"no prediction: no finished run of {name} is known; the scale-out is the requested one",
        "predicted_runtime_seconds": None,
        "target_seconds": 120.0,
        "feasible": None,
        "fastest_runtime_seconds": None,
        "nearest_feasible_target_seconds": None,
        "candidates": [],
        "source": None,
        "runs": 0,
        "warnings": [],
    }


@pytest.mark.parametrize("solution_name", ["ernest", "bell", "ellis", "static", "static_margin"])
async def test_baselines_are_answered_for(
    service: httpx.AsyncClient, algorithm: str, solution_name: str
) -> None:
    found = await ask(service, algorithm_name=algorithm, solution_name=solution_name, max_runtime=16.0)
    assert found["candidates"][1]["runtime_seconds"] == pytest.approx(expected_seconds(2), rel=0.1)
    assert 3 <= found["scale_out"] <= 4


async def test_what_is_no_submission_is_refused(service: httpx.AsyncClient) -> None:
    answer = await service.post(URL, json=specs(solution_name="magic"))
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
