"""Random effects of steered runs are not taken for an effect of their scale-outs."""

import numpy as np
import pytest

from training.evidence.run_effects import RunEffects, estimate_run_effects
from training.evidence.table import Evidence, collect
from training.history.values import JobRecord, RunContext, RunRecord
from training.runtime_model.laws import Calibration, fit_prior
from training.runtime_model.similar_runs import USUAL_STATE, SimilarRuns

JOBS, EXPONENT = 8, 0.4
SMALL, LARGE = 8, 32
EFFECTS = (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.5)


def make_run(number: int, scale_outs: list[int], effect: float) -> RunRecord:
    """Jobs that take 100 s x^-0.4, slower by the run's random effect, and noisy by 2%."""
    noise = 0.02 * np.random.default_rng(number).standard_normal(JOBS)
    seconds = 100.0 * np.array(scale_outs, float) ** -EXPONENT * np.exp(effect + noise)
    starts = np.concatenate([[0.0], np.cumsum(seconds)])
    jobs = tuple(JobRecord(i, starts[i], seconds[i], x, x, 0.0) for i, x in enumerate(scale_outs))
    return RunRecord(f"run-{number}", RunContext("Steered"), float(number), jobs, float(starts[-1]))


def steered(count: int = 24) -> list[RunRecord]:
    """Two runs that tried scale-outs; then slow runs were given many executors, and fast ones few."""
    history = [make_run(0, [SMALL] * JOBS, 0.0), make_run(1, [LARGE] * JOBS, 0.0)]
    for number in range(2, count):
        effect = EFFECTS[number % len(EFFECTS)]
        history.append(make_run(number, [16] + [LARGE if effect > 0 else SMALL] * (JOBS - 1), effect))
    return history


def no_effects(evidence: Evidence) -> RunEffects:
    """What takes a history at face value."""
    return RunEffects(np.zeros(len(evidence.contexts)), 1.0)


def test_runs_that_nobody_steered_have_no_effects() -> None:
    history = [
        make_run(number, [x] * JOBS, 0.3 * (number % 2)) for number, x in enumerate((4, 8, 16, 32, 24))
    ]
    assert not estimate_run_effects(collect(history)).effect.any()


def test_effects_are_found_again() -> None:
    effects = estimate_run_effects(collect(steered())).effect
    effect = np.array([0.0, 0.0, *(EFFECTS[number % len(EFFECTS)] for number in range(2, 24))])
    relative, expected = effects - np.median(effects), effect - np.median(effect)
    np.testing.assert_allclose(relative, expected, atol=0.12)


def test_executors_are_not_blamed_for_the_runs_that_got_them() -> None:
    evidence = collect(steered())
    truth = EXPONENT * np.log(LARGE / SMALL)
    at = np.array([float(SMALL), float(LARGE)])

    def gain(effects: RunEffects) -> float:
        log_runtime = (
            fit_prior(evidence, effects, Calibration()).expect(at, RunContext("Steered")).log_runtime
        )
        return float((log_runtime[0] - log_runtime[1]).mean())

    assert gain(estimate_run_effects(evidence)) == pytest.approx(truth, abs=0.12)
    assert gain(no_effects(evidence)) < truth - 0.25


def test_similar_runs_do_not_blame_them_either() -> None:
    evidence = collect(steered())
    ahead = np.ones(JOBS, bool)
    schedules = np.array([[16.0] + [float(x)] * (JOBS - 1) for x in (SMALL, LARGE)])
    seconds = (schedules**-EXPONENT).sum(axis=1)
    truth = float(np.log(seconds[0] / seconds[1]))
    run = collect([RunRecord("", RunContext("Steered"), 0.0)], evidence.graph)

    def gain(effects: RunEffects) -> float:
        found = SimilarRuns(evidence, effects).forecast_remaining(run, -1, schedules, ahead, USUAL_STATE)
        assert found is not None
        return float(found.log_mean[0] - found.log_mean[1])

    assert abs(gain(estimate_run_effects(evidence)) - truth) < 0.5 * abs(gain(no_effects(evidence)) - truth)


def test_left_out_errors_are_those_of_measured_runs() -> None:
    """What was subtracted from a run was not known before it ran: it counts as an error of its forecast."""
    evidence = collect(steered())
    found = SimilarRuns(evidence, estimate_run_effects(evidence)).left_out(-1, np.ones(JOBS, bool))
    assert found is not None
    effect = np.array([0.0, 0.0, *(EFFECTS[number % len(EFFECTS)] for number in range(2, 24))])
    assert np.corrcoef(found.error, effect)[0, 1] < -0.9  # slow runs take longer than forecast
    assert np.std(found.error) > 0.8 * np.std(effect)


def test_less_of_an_effect_is_unknown_the_further_a_run_is() -> None:
    effects = RunEffects(np.array([0.2, -0.1]), 0.25)
    shares = [effects.unknown(finished)[0] for finished in (0.0, 0.2, 0.5, 1.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(0.2)
    assert shares[-1] == pytest.approx(0.0)
