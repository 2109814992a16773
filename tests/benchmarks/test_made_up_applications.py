import numpy as np
import pytest

from benchmarks.ellis_data import FAILURE_RUNS
from benchmarks.made_up_applications import KINDS, make_application, recorded_runs
from benchmarks.price_of_targets import ELLIS, MARGIN, ORACLE, Case, Price, averages, dominates, price_of
from benchmarks.runtime_targets import Outcome


@pytest.mark.parametrize("name", KINDS)
def test_runs_take_what_the_law_says_but_for_their_noise(name: str) -> None:
    made = make_application(name, 0.2)
    for x in (4, 12, 20, 36):
        seconds = [made.seconds(x, draw).sum() for draw in np.arange(0.0, 1.0, 0.005)]
        assert np.median(seconds) == pytest.approx(KINDS[name].seconds(np.array([float(x)]))[0], rel=0.15)
        assert np.std(np.log(seconds)) == pytest.approx(0.2, abs=0.06)
        assert (np.diff(seconds) > -0.35 * np.median(seconds)).all()  # draws are in order of slowness


def test_recordings_have_the_scale_outs_that_were_asked_for_and_stalls_where_executors_died() -> None:
    made = make_application("flat", 0.0)
    calm = recorded_runs(made, 0, lambda runs: 4 + len(runs) % 3, frozenset())
    killed = recorded_runs(made, 0, lambda runs: 4 + len(runs) % 3, FAILURE_RUNS)
    assert [run.jobs[0].start_scale_out for run in calm[:4]] == [4, 5, 6, 4]
    longer = {
        int(a.run_id)
        for a, b in zip(killed, calm, strict=True)
        if a.jobs[-1].end_seconds > b.jobs[-1].end_seconds
    }
    assert longer == FAILURE_RUNS


def outcome(seconds: float, hours: float) -> Outcome:
    return Outcome(11, seconds, 100.0, hours, 0, 4)


def test_misses_count_where_the_oracle_is_on_time() -> None:
    best = [outcome(90, 1.0), outcome(95, 1.0), outcome(130, 4.0)]
    found = price_of([outcome(101, 2.0), outcome(99, 2.0), outcome(140, 2.0)], best)
    assert found == Price(missed=2 / 3, missed_in_reach=0.5, executor_hours=2.0)


def test_who_is_cheaper_and_misses_no_more_dominates() -> None:
    ours, cheap, dear = Price(0.2, 0.1, 2.0), Price(0.2, 0.1, 1.0), Price(0.1, 0.0, 3.0)
    assert dominates(cheap, ours)
    assert not dominates(Price(0.3, 0.2, 1.0), ours)
    assert not dominates(dear, ours)
    assert not dominates(Price(0.2, 0.1, 1.99), ours)  # that is the same
    by = {"ours": ours, ELLIS: cheap, MARGIN: dear, ORACLE: Price(0.1, 0.0, 1.0)}
    assert averages({Case("flat", 0.2, 0.25): by})["ours"] == pytest.approx((0.1, 0.1, 2.0, 1))


def test_shares_of_failing_runs() -> None:
    assert Case("flat", 0.2, 0.25).failing() == FAILURE_RUNS
    assert not Case("flat", 0.2, 0.0).failing()
    for share in (0.1, 1 / 3, 0.4, 0.5, 0.6, 0.75, 1.0):
        failing = Case("flat", 0.2, share).failing()
        assert len([run for run in range(11, 71) if run in failing]) == pytest.approx(60 * share)
        assert 11 in failing
    half = Case("flat", 0.2, 0.5).failing()
    assert len([run for run in range(11, 51) if run in half]) == 20
