"""Every job but the last is followed by one decision."""

from benchmarks.decision_latency import decide
from benchmarks.staged_application import make_runs
from training.runtime_model.artifact import Hyperparameters
from training.runtime_model.loop import LAWS, NETWORK, PretrainingSession


def test_every_decision_is_timed_in_its_parts() -> None:
    runs = make_runs(4, jobs=6)
    session = PretrainingSession(runs[:3], Hyperparameters(), max_epochs=2)
    while not session.finished:
        session.step()
    timed = decide(session.finish(NETWORK), runs[3], (4, 8, 16))
    assert len(timed) == 5
    assert all(fine_tuning + forecast <= whole for fine_tuning, forecast, whole in timed)
    assert any(fine_tuning > 0 for fine_tuning, _, _ in timed)


def test_long_runs_are_decided_about_now_and_then() -> None:
    runs = make_runs(3, jobs=90)
    session = PretrainingSession(runs[:2], Hyperparameters(), max_epochs=1)
    assert len(decide(session.finish(LAWS), runs[2], (4, 8))) == 30


def test_runs_have_as_many_jobs_as_asked_for() -> None:
    assert [len(run.jobs) for run in make_runs(2, jobs=18)] == [18, 18]
