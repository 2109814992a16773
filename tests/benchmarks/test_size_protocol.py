"""One data size known, another asked for: which runs are known, what is asked, and what baselines answer."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.initial_baselines import ernest_of_size, proportional
from benchmarks.initial_protocol import error, ours, size_tasks, sizes_of
from benchmarks.recorded_runs import RecordedJob, RecordedRun, load_folder

RECORDINGS = os.environ.get("TEST_RECORDED_RUNS", "")
"""Folder of recorded runs, as the benchmarks' `--data`."""


def recorded_job() -> RecordedJob:
    """Three sizes, two kinds of machine, two scale-outs; seconds are megabytes over cores."""
    runs = []
    for size in (1000.0, 2000.0, 4000.0):
        for machine, cores in (("small", 4.0), ("large", 8.0)):
            for x in (2.0, 4.0):
                context = (("machine_type", machine), ("slots", cores), ("data_size_MB", size))
                runs.append(RecordedRun(context, x, size / cores / x, {"slots": cores, "data_size_MB": size}))
    return RecordedJob("sort", tuple(runs), ("slots",), ("data_size_MB",), "machine_type")


@pytest.mark.parametrize("points", [0, 1, 3])
def test_all_runs_of_one_size_and_some_of_the_other_are_known(points: int) -> None:
    job = recorded_job()
    assert sizes_of(job) == (1000.0, 4000.0)
    found = list(size_tasks(job, 1000.0, 4000.0, points, seed=0))
    assert sum(int(task.asked.sum()) for task in found) == 4 - points
    for task in found:
        sizes = [dict(run.context)["data_size_MB"] for run in task.known]
        assert sizes.count(1000.0) == 4
        assert sizes.count(4000.0) == points
        assert 2000.0 not in sizes
        known = {(run.context, run.scale_out) for run in task.known}
        asked = {(task.context, x) for x in task.scale_outs[task.asked]}
        assert not known & asked


def test_the_drawn_runs_are_the_same_for_every_context_of_a_draw() -> None:
    found = list(size_tasks(recorded_job(), 4000.0, 1000.0, 2, seed=1))
    assert len({frozenset((*task.other, *task.own)) for task in found}) == 1


def test_baselines_that_know_of_sizes_are_right_about_proportional_runs() -> None:
    for task in size_tasks(recorded_job(), 1000.0, 4000.0, 0, seed=0):
        assert error(task, proportional(task)) < 1e-9
        assert error(task, ernest_of_size(task)) < 1e-6


def test_without_a_run_on_the_machine_the_proportional_rule_has_no_answer() -> None:
    job = recorded_job()
    known = tuple(run for run in job.runs if dict(run.context)["machine_type"] == "small")
    asked = next(size_tasks(job, 1000.0, 4000.0, 0, seed=0))
    of_large = next(
        task
        for task in size_tasks(job, 1000.0, 4000.0, 0, seed=0)
        if dict(task.context)["machine_type"] == "large"
    )
    others = tuple(index for index in of_large.other if job.runs[index] in known)
    assert np.isfinite(proportional(asked)).all()
    assert np.isnan(proportional(type(of_large)(**{**vars(of_large), "other": others}))).all()


@pytest.mark.skipif(
    not (RECORDINGS and Path(RECORDINGS, "dataproc").is_dir()),
    reason="TEST_RECORDED_RUNS names no folder with recordings of Dataproc",
)
def test_recordings_of_dataproc_have_two_sizes_of_every_job_and_some_are_predicted() -> None:
    jobs = load_folder(Path(RECORDINGS)).dataproc
    assert len(jobs) == 5
    assert all(sizes_of(job) for job in jobs)
    grep = next(job for job in jobs if job.name == "grep")
    smallest, largest = sizes_of(grep) or (0.0, 0.0)
    found = list(size_tasks(grep, smallest, largest, 3, seed=0))
    assert np.mean([error(task, np.exp(ours(task).log_mean)) for task in found]) < 0.1
