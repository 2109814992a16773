import numpy as np

from benchmarks.staged_application import JOBS, SIZES_MB, make_runs
from training.evidence.table import collect


def test_the_same_seed_gives_the_same_runs_and_another_one_others() -> None:
    runs = make_runs(12, seed=3)
    assert make_runs(12, seed=3) == runs
    assert make_runs(5, seed=3) == runs[:5]
    assert make_runs(12, seed=4) != runs


def test_runs_are_what_a_history_holds() -> None:
    runs = make_runs(30)
    evidence = collect(runs)
    assert len(evidence.graph.job_ids) == JOBS
    assert np.isfinite(evidence.metrics[:, ~evidence.graph.is_driver]).all()
    assert np.isfinite(evidence.log_runtime).all()
    assert {run.context.data_size_mb for run in runs} == set(SIZES_MB)
    moved = [run for run in runs if any(job.start_scale_out != job.end_scale_out for job in run.jobs)]
    assert 5 <= len(moved) <= 10
    for run in runs:
        ends = [job.end_seconds for job in run.jobs]
        assert ends == sorted(ends)
        assert run.runtime_seconds is not None
        assert run.runtime_seconds > ends[-1]


def test_metrics_tell_of_the_shared_network_what_laws_cannot() -> None:
    """How much longer an exchanging stage took than the run's own compute shows in the ratio."""
    runs = make_runs(40)
    first = [run.jobs[0].stages[1].metrics for run in runs]
    ratios = np.array([metrics.shuffle_rw_ratio for metrics in first if metrics])
    join, score = (np.array([run.jobs[1].stages[index].runtime_seconds for run in runs]) for index in (0, 1))
    by_size = np.array([run.context.data_size_mb for run in runs], dtype=float)
    ranks = np.array([int(run.context.algorithm_args[1]) for run in runs], dtype=float)
    beyond = np.log(join / score) + 0.8 * np.log(ranks) - 0.25 * np.log(by_size)
    assert np.corrcoef(ratios, beyond)[0, 1] > 0.8
