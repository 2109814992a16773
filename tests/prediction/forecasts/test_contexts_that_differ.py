"""What a forecast makes of arguments and memory that earlier runs had not, or not in that form."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from prediction.forecasts.by_context import same_context
from prediction.forecasts.whole_run import CONTEXT_MODEL, WholeRunForecast, forecast_whole_run
from training.history.values import JobRecord, RunContext, RunRecord

CONTEXT = RunContext("Scoring", (), 2048, executor_cores=2, executor_memory_mb=4096)
CANDIDATES = (4, 8, 16)


def run(number: int, context: RunContext, scale_out: int = 8, factor: float = 1.0) -> RunRecord:
    """A run of 40 s and 800 executor-seconds."""
    noise = float(np.exp(0.03 * np.random.default_rng(number).standard_normal()))
    seconds = (40.0 + 800.0 / scale_out) * factor * noise
    jobs = tuple(JobRecord(j, j * seconds / 4, seconds / 4, scale_out, scale_out, 0.0) for j in range(4))
    return RunRecord(f"run-{number}", context, 1_700_000_000.0 + 1000 * number, jobs, seconds)


def with_arguments(*arguments: object) -> RunContext:
    return replace(CONTEXT, algorithm_args=tuple(map(str, arguments)))


def asked(history: Sequence[RunRecord], context: RunContext) -> WholeRunForecast:
    return forecast_whole_run(history, None, context, CANDIDATES)


def stds(found: WholeRunForecast) -> list[float]:
    return [each.log_std for each in found.predictive_stds]


@pytest.mark.parametrize("seed", [1234, 99_999_999, -5_000, 2**63])
def test_a_number_far_beyond_a_range_with_zero_is_no_catastrophe(seed: int) -> None:
    history = [run(i, with_arguments("--seed", i % 4), (4, 8, 16)[i % 3]) for i in range(8)]
    found = asked(history, with_arguments("--seed", seed))
    for x, seconds in zip(CANDIDATES, found.runtime_seconds, strict=True):
        assert 0.2 < seconds / (40.0 + 800.0 / x) < 5.0
    assert min(stds(found)) > 0.1


def test_a_coefficient_beyond_all_known_ones_is_extrapolated_and_unsure() -> None:
    known = (0, 0.001, 0.01, 0.1)
    history = [run(i, with_arguments("--reg", known[i % 4]), (4, 8, 16)[i % 3]) for i in range(12)]
    found = asked(history, with_arguments("--reg", 10))
    for x, seconds in zip(CANDIDATES, found.runtime_seconds, strict=True):
        assert 0.2 < seconds / (40.0 + 800.0 / x) < 5.0


@pytest.mark.parametrize("pairs", [1, 4, 6, 40])
def test_one_argument_of_many_makes_another_context(pairs: int) -> None:
    words = [word for pair in range(pairs) for word in (f"--option-{pair}", pair)]
    history = [run(i, with_arguments(*words), (4, 8, 16)[i % 3]) for i in range(6)]
    other = with_arguments(*words[:-1], 100)
    assert same_context(history, with_arguments(*words)).all()
    assert not same_context(history, other).any()
    found = asked(history, other)
    assert found.source == CONTEXT_MODEL
    assert "no earlier run in this context" in found.reason


@pytest.mark.parametrize(
    ("memory", "is_same"),
    [(512, False), (3072, False), (3400, True), (4500, True), (5200, False), (65_536, False)],
)
def test_memory_makes_another_context_as_data_does(memory: int, is_same: bool) -> None:
    history = [run(i, CONTEXT) for i in range(3)]
    assert bool(same_context(history, replace(CONTEXT, executor_memory_mb=memory)).all()) is is_same


def test_runs_without_an_option_know_each_other() -> None:
    modes = ("--mode a", "--mode b", "--mode c")
    factors = (0.5, 1.0, 2.0)
    history = [
        run(i, with_arguments(*modes[i % 3].split()), (4, 8, 16)[i % 3 - i // 4], factors[i % 3])
        for i in range(12)
    ]
    without, spelled = with_arguments(), with_arguments("--mode", "none")
    found = asked([*history, *(run(20 + i, without, x) for i, x in enumerate((4, 8)))], without)
    named = asked([*history, *(run(20 + i, spelled, x) for i, x in enumerate((4, 8)))], spelled)
    assert stds(found) == pytest.approx(stds(named), rel=0.2)
    assert found.runtime_seconds == pytest.approx(named.runtime_seconds, rel=0.1)
    unseen = asked([*history, run(20, without, 8)], with_arguments("--mode", "exact"))
    known = asked([*history, run(20, without, 8)], without)
    assert min(stds(unseen)) > max(stds(known))
