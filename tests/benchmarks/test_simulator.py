import numpy as np
import pytest

from benchmarks.simulator import (
    LEAD_SECONDS,
    Application,
    Conditions,
    Regime,
    SimulatedRun,
    calibrate_application,
    profiling_scale_outs,
)
from training.history.values import JobRecord, RunContext, RunRecord

JOBS = 4


def plain(seconds: float = 320.0, slope: float = 1.0) -> Application:
    """Every job takes `seconds` at one executor, the same in every run."""
    regime = Regime(np.full(JOBS, np.log(seconds)), np.full(JOBS, slope), np.zeros((1, JOBS)))
    return Application("Plain", (regime,), np.zeros(1), np.array([10.0]))


def recorded(number: int, scale_out: int, seconds: float) -> RunRecord:
    clock, jobs = 0.0, []
    for job_id in range(JOBS):
        jobs.append(JobRecord(job_id, clock, seconds, scale_out, scale_out, 0.0))
        clock += seconds
    return RunRecord(str(number), RunContext("Recorded"), float(number), tuple(jobs), clock)


def test_a_static_run_follows_the_law() -> None:
    run = SimulatedRun(plain(), 1, 0, False, Conditions()).play(8)
    assert [job.runtime_seconds for job in run.jobs] == pytest.approx([40.0] * JOBS)
    assert run.runtime_seconds == pytest.approx(JOBS * (40.0 + LEAD_SECONDS))


def test_a_rescaling_takes_effect_after_its_delay_within_a_job() -> None:
    def out(known: RunRecord, now: int) -> int:
        return 16

    simulated = SimulatedRun(plain(), 1, 0, False, Conditions(out_seconds=20.0))
    run = simulated.play(8, out)
    second = run.jobs[1]
    assert (second.start_scale_out, second.end_scale_out) == (8, 16)
    at_old = 20.0 - LEAD_SECONDS  # the delay runs from the end of the first job
    assert second.runtime_seconds == pytest.approx(at_old + (1 - at_old / 40) * 20.0)
    assert second.rescaling_time_ratio == pytest.approx(at_old / second.runtime_seconds)
    assert run.jobs[2].runtime_seconds == pytest.approx(20.0)
    assert simulated.rescalings == 1


def test_a_slow_cluster_and_one_that_ignores_everything() -> None:
    def out(known: RunRecord, now: int) -> int:
        return 16

    slow, deaf = Conditions(out_seconds=60.0), Conditions(ignored_share=1.0)
    assert SimulatedRun(plain(), 1, 0, False, slow).play(8, out).jobs[1].end_scale_out == 8
    assert SimulatedRun(plain(), 1, 0, False, deaf).play(8, out).jobs[-1].end_scale_out == 8


def test_every_death_of_an_executor_stalls_the_run() -> None:
    calm, failing = (SimulatedRun(plain(), 1, 0, flag, Conditions()).play(8) for flag in (False, True))
    assert calm.runtime_seconds is not None
    assert failing.runtime_seconds == pytest.approx(calm.runtime_seconds + 10.0)  # one in 160 s


def test_the_same_seed_gives_the_same_run() -> None:
    runs = [
        recorded(n, x, 100 / x * f) for n, (x, f) in enumerate([(4, 1), (8, 2), (8, 1), (16, 1), (30, 1)])
    ]
    application = calibrate_application(runs)
    first, again, other = (
        SimulatedRun(application, 3, seed, True, Conditions()).play(8) for seed in (1, 1, 2)
    )
    assert first == again
    assert other != first


def test_a_law_is_found_again() -> None:
    runs = [recorded(n, x, 100 / np.sqrt(x)) for n, x in enumerate([4, 6, 9, 12, 16, 20, 25, 30, 36, 36])]
    application = calibrate_application(runs)
    assert len(application.regimes) == 1
    assert application.seconds(16, 0.5).sum() == pytest.approx(100.0, rel=0.05)


def test_a_change_point_is_found_again() -> None:
    x = [4, 6, 8, 10, 12, 15, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36]
    runs = [
        recorded(n, v, (400.0 if v < 24 else 80.0) * v**-0.3 * (1 + 0.05 * (n % 3))) for n, v in enumerate(x)
    ]
    application = calibrate_application(runs)
    assert len(application.regimes) == 2
    assert application.slow_share[22] == 1.0
    assert application.slow_share[24] == 0.0
    assert application.seconds(22, 0.5).sum() > 3 * application.seconds(24, 0.5).sum()


def test_too_few_recorded_runs() -> None:
    with pytest.raises(ValueError, match="five"):
        calibrate_application([recorded(1, 4, 10.0)])


def test_profiling_covers_the_scale_outs() -> None:
    chosen = profiling_scale_outs(3)
    assert sorted(chosen) == sorted(profiling_scale_outs(4))
    assert (min(chosen), max(chosen), len(chosen)) == (4, 36, 10)
