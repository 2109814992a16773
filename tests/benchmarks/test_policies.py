import numpy as np
import pytest

from benchmarks.policies import Fixed, ellis, ours, static
from benchmarks.reporting import Bar
from benchmarks.runtime_targets import Outcome, summarize
from benchmarks.simulator import Application, Conditions, Regime, SimulatedRun

CANDIDATES = tuple(range(4, 37))
JOBS = 6


@pytest.fixture(scope="module")
def application() -> Application:
    """640 executor-seconds per job, nothing serial."""
    regime = Regime(np.full(JOBS, np.log(640.0)), np.ones(JOBS), np.zeros((1, JOBS)))
    return Application("Plain", (regime,), np.zeros(1), np.zeros(1))


@pytest.fixture(scope="module")
def history(application: Application) -> list:  # type: ignore[type-arg]
    return [
        SimulatedRun(application, n, 0, False, Conditions()).play(x)
        for n, x in enumerate([4, 8, 12, 16, 24, 36])
    ]


TARGET = JOBS * 40.0  # sixteen executors


def test_static_takes_the_smallest_that_fits_with_its_margin(history: list) -> None:  # type: ignore[type-arg]
    assert static(CANDIDATES).initial(history, TARGET + 5) == 16
    assert static(CANDIDATES, 0.9).initial(history, TARGET + 5) == 18
    assert static(CANDIDATES).initial(history, 1.0) == 36
    assert Fixed(20).initial(history, TARGET) == 20


def test_ellis_keeps_what_is_on_time_and_mends_what_is_not(application: Application, history: list) -> None:  # type: ignore[type-arg]
    policy = ellis(CANDIDATES)
    assert policy.initial(history, TARGET + 5) == 16
    on_time = SimulatedRun(application, 9, 0, False, Conditions()).play(16)
    known = type(on_time)(on_time.run_id, on_time.context, 0.0, on_time.jobs[:2])
    assert policy.after_job(known, 16, TARGET + 5) == 16
    late, early = policy.after_job(known, 16, TARGET - 40), policy.after_job(known, 16, 2 * TARGET)
    assert late is not None
    assert early is not None
    assert early < 16 < late
    assert policy.after_job(on_time, 16, TARGET) is None


def test_own_decisions_go_through_the_service(application: Application, history: list) -> None:  # type: ignore[type-arg]
    policy = ours(CANDIDATES, max_epochs=1)
    assert 16 <= policy.initial(history, TARGET + 10) <= 24
    run = SimulatedRun(application, 9, 0, False, Conditions()).play(8)
    known = type(run)(run.run_id, run.context, 0.0, run.jobs[:2])
    more = policy.after_job(known, 8, TARGET + 60)
    assert more is not None
    assert more > 8
    assert len(policy.decision_seconds) == 1


def test_figures_of_outcomes() -> None:
    outcomes = [Outcome(11, 660.0, 600.0, 2.0, 1, 4), Outcome(12, 500.0, 600.0, 4.0, 0, 4)]
    best = [Outcome(11, 590.0, 600.0, 3.0, 0, 8), Outcome(12, 550.0, 600.0, 1.0, 0, 2)]
    best.append(Outcome(41, 900.0, 600.0, 3.0, 0, 36))
    found = summarize([*outcomes, Outcome(41, 1200.0, 600.0, 3.0, 2, 4)], [0.1, 0.3], best)
    assert found.missed_in_reach == 0.5
    assert found.cvc == pytest.approx(2 / 3)
    assert found.normal_cvc == 0.5
    assert found.relative_cvs == pytest.approx(1.1 / 3)
    assert found.normal_relative_cvs == pytest.approx(0.05)
    assert found.executor_hours == 3.0
    assert found.decision_ms == pytest.approx(200.0)


def test_bars() -> None:
    assert Bar("ratio", 0.3, 0.5, 0.7).is_met
    assert not Bar("ratio", 0.4, 0.5, 0.7).is_met
    assert Bar("nothing", 0.0, 0.5, 0.0).is_met
    assert not Bar("coverage", 0.8, 0.95, at_least=0.85).is_met
