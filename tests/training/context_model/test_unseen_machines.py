"""Machine types that no run was on: which is faster, and what trees have to say."""

import numpy as np
import pytest

from training.context_model.data_size import at_size
from training.context_model.encoding import Encoding
from training.context_model.model import ContextModel, fit_context_model
from training.context_model.questions import EarlierRun, Query, RuntimePrediction
from training.context_model.unseen_machines import (
    MOST_VALUES,
    Spots,
    _frequent,
    counterparts,
    is_unseen,
    is_within,
    not_below,
)

ENVIRONMENT = np.array([True, True, False, True])
"""Cores, memory, data size, type."""
SCALE_OUTS = (2, 4, 8, 12)


def spots(*rows: tuple[float, float, float, int], scale_out: float = 4.0) -> Spots:
    """From cores, memory, data size and type."""
    table = np.array(rows, dtype=np.float64)
    numbers = np.log(table[:, :3])
    return Spots(numbers, table[:, 3:], np.full(len(rows), scale_out))


def flat_history() -> list[EarlierRun]:
    """Two types of as many cores; the one with half of the memory happens to be faster."""
    machines = {"a.xlarge": (8.0, 64.0, 1.0), "b.xlarge": (8.0, 32.0, 0.9)}
    return [
        EarlierRun(
            {"machine": name, "cores": cores, "memory": memory, "input_gb": size},
            x,
            factor * size * (30.0 + 10.0 / x),
        )
        for name, (cores, memory, factor) in machines.items()
        for size in (5.0, 10.0, 20.0)
        for x in SCALE_OUTS
    ]


def fitted() -> ContextModel:
    return fit_context_model(flat_history(), resources=("cores", "memory"), sizes=("input_gb",))


def predicted(machine: str, cores: float, memory: float, size: float = 10.0) -> RuntimePrediction:
    context = {"machine": machine, "cores": cores, "memory": memory, "input_gb": size}
    prediction = fitted().predict([Query(context, x) for x in SCALE_OUTS])
    assert isinstance(prediction, RuntimePrediction)
    return prediction


def test_a_smaller_machine_is_not_faster() -> None:
    large, small = predicted("a.xlarge", 8.0, 64.0), predicted("a.large", 4.0, 32.0)
    assert (small.log_mean > large.log_mean).all()
    assert (small.log_std > large.log_std).all()


def test_a_larger_machine_is_not_slower() -> None:
    slowest, larger = predicted("a.xlarge", 8.0, 64.0), predicted("a.4xlarge", 32.0, 256.0)
    assert (larger.log_mean < slowest.log_mean).all()


def test_known_machines_are_left_to_the_process() -> None:
    model = fitted()
    asked = [run for run in flat_history() if run.scale_out == 8]
    numeric, codes = model.encoding.encode([run.context for run in asked])
    points = model._points(numeric, codes.astype(np.float64), np.full(len(asked), 8.0))
    prediction = model.predict([Query(run.context, 8) for run in asked])
    assert isinstance(prediction, RuntimePrediction)
    usual, _ = model._posterior(points)
    at_sizes, _ = at_size(usual, model._log_growth(numeric), model.assumptions.start_seconds)
    assert prediction.log_mean == pytest.approx(at_sizes, abs=1e-12)


def test_only_clearly_more_of_every_resource_counts() -> None:
    known_spots = spots((8, 64, 10, 0), (8, 32, 10, 1))
    half, less_memory, slightly_less, larger = (
        (4, 32, 10, -1),
        (8, 16, 10, -1),
        (7, 30, 10, -1),
        (32, 256, 10, -1),
    )
    asked = spots(half, less_memory, slightly_less, larger, (8, 64, 99, 0))
    counterpart = counterparts(asked, known_spots, (0, 1), ENVIRONMENT)
    assert counterpart.rows.tolist() == [0, 3]
    assert counterpart.sign.tolist() == [1.0, -1.0]
    assert counterpart.moved.numeric[:, :2] == pytest.approx(np.log([[8, 64], [8, 64]]))
    assert counterpart.moved.categories.tolist() == [[0.0], [0.0]]


def test_the_nearest_size_is_compared_with() -> None:
    known_spots = spots((16, 128, 10, 0), (8, 64, 10, 1), (1, 8, 10, 2))
    counterpart = counterparts(spots((4, 32, 10, -1)), known_spots, (0, 1), ENVIRONMENT)
    assert counterpart.moved.categories.tolist() == [[1.0]]
    assert not len(counterparts(spots((4, 32, 10, -1)), known_spots, (), ENVIRONMENT).rows)


def test_trees_are_asked_where_the_machine_is_all_that_is_new() -> None:
    known_spots = spots((8, 64, 5, 0), (8, 64, 20, 0))
    asked = spots((4, 32, 10, -1), (4, 32, 40, -1), (8, 64, 10, 0))
    assert is_unseen(asked, known_spots, ENVIRONMENT).tolist() == [True, True, False]
    assert is_within(asked, known_spots, ENVIRONMENT).tolist() == [True, False, True]
    nowhere = np.zeros(4, dtype=bool)
    assert not is_unseen(asked, known_spots, nowhere).any()


@pytest.mark.parametrize("mean", [-3.0, -0.5, 0.0, 2.0, 9.0])
def test_moments_above_zero_are_those_of_samples(mean: float) -> None:
    samples = mean + 0.8 * np.random.default_rng(0).standard_normal(2_000_000)
    kept = samples[samples >= 0]
    gain, lost = not_below(np.array([mean]), np.array([0.64]))
    assert mean + gain[0] == pytest.approx(kept.mean(), abs=0.05)
    assert 0.64 * (1.0 - lost[0]) == pytest.approx(kept.var(), abs=0.02)


def test_far_below_zero_moments_stay_finite() -> None:
    gain, lost = not_below(np.array([-1e4]), np.array([1.0]))
    assert gain[0] == pytest.approx(1e4, rel=1e-3)
    assert 0.0 <= lost[0] <= 1.0


def environment_of(contexts: list[dict[str, float | str]]) -> dict[str, bool]:
    encoding = Encoding.of(contexts, resources=("cores",))
    numeric, categories = encoding.encode(contexts)
    found = encoding.environment(numeric, categories.astype(np.float64))
    return dict(zip([*encoding.numeric, *encoding.categories], map(bool, found), strict=True))


def test_texts_say_nothing_of_machines_where_all_are_alike() -> None:
    contexts = [{"cores": 4, "machine": "a", "output": f"/out/{i}", "kind": "xy"[i % 2]} for i in range(8)]
    assert environment_of(contexts) == {"cores": True, "machine": False, "output": False, "kind": False}


def test_values_that_occur_once_determine_no_machine() -> None:
    machines = [{"cores": 4, "machine": "a"}, {"cores": 8, "machine": "b"}, {"cores": 8, "machine": "c"}]
    contexts = [machines[i % 3] | {"output": f"/out/{i}", "kind": "xy"[i % 2]} for i in range(12)]
    assert environment_of(contexts) == {"cores": True, "machine": True, "output": False, "kind": False}
    assert environment_of([{"cores": 4, "machine": "a"}, {"cores": 8, "machine": "b"}])["machine"]


def test_trees_have_few_columns_however_many_paths_there_are() -> None:
    values = [4, 3000]
    codes = np.stack([np.arange(3000) % 4, np.minimum(np.arange(3000) * 7 % 3000, 2990)], axis=1).astype(
        float
    )
    found = _frequent(codes, values)
    assert found.shape == (2, MOST_VALUES)
    assert found[0].tolist() == [0, 1, 2, 3, *[-2] * (MOST_VALUES - 4)]
    assert 2990 in found[1]
    assert _frequent(codes[:, :1], [4]).tolist() == [[0, 1, 2, 3]]
