"""Histories of a made-up application with a known scale-out law."""

import numpy as np

from training.history.values import JobRecord, RunContext, RunRecord, StageMetrics, StageRecord

CONTEXT = RunContext("Clustering", ("--iterations", "10"), 2048, executor_cores=1)


def job_seconds(job_id: int, scale_out: float, tasks: int = 24) -> float:
    """The law: a serial part, and waves of waiting tasks."""
    work = (6.0, 1.5, 4.0)[min(job_id, 1) if job_id < 11 else 2]
    return 0.2 + work * 0.25 * float(np.ceil(tasks / scale_out))


def make_run(
    run_id: int,
    scale_out: int,
    *,
    jobs: int = 12,
    stages: int = 2,
    noise: float = 0.03,
    factor: float = 1.0,
    context: RunContext = CONTEXT,
    job_ids: tuple[int, ...] | None = None,
    metrics: bool = True,
    skip: tuple[int, ...] = (),
) -> RunRecord:
    """One run at a constant scale-out.

    Args:
        noise: Standard deviation of each stage's log runtime; the run as a whole has half of it.
        factor: Drift of the whole run.
        skip: Jobs whose first stage is skipped.
    """
    random = np.random.default_rng(1000 + run_id)
    drift = factor * float(np.exp(0.5 * noise * random.standard_normal()))
    clock = 3.0
    records = []
    for job_id in job_ids or tuple(range(jobs)):
        total = job_seconds(job_id, scale_out)
        overhead = 0.08
        shares = np.array([0.7, *([0.3 / max(stages - 1, 1)] * (stages - 1))])[:stages]
        begin, made = clock + 0.02, []
        for number, share in enumerate(shares / shares.sum() if stages else ()):
            if job_id in skip and number == 0:
                continue
            runtime = (total - overhead) * share * drift * float(np.exp(noise * random.standard_normal()))
            values = StageMetrics(0.3 + 0.2 * number, 0.02 * scale_out, 0.5, 1.0, 0.0) if metrics else None
            made.append(
                StageRecord(
                    stage_id=job_id * stages + number,
                    name=("map at Clustering.scala:10", "collect at Clustering.scala:12")[number % 2],
                    num_tasks=24,
                    parent_ids=(job_id * stages + number - 1,) if number else (),
                    start_seconds=begin,
                    runtime_seconds=runtime,
                    start_scale_out=scale_out,
                    end_scale_out=scale_out,
                    rescaling_time_ratio=0.0,
                    metrics=values,
                )
            )
            begin += runtime
        runtime = begin - clock + overhead - 0.02 if stages else total * drift
        records.append(JobRecord(job_id, clock, runtime, scale_out, scale_out, 0.0, tuple(made)))
        clock += runtime + 0.1
    return RunRecord(f"run-{run_id}", context, 1_700_000_000.0 + 1000 * run_id, tuple(records), clock + 1.0)


def make_history(scale_outs: tuple[int, ...] = (2, 3, 4, 6, 4), **options: object) -> list[RunRecord]:
    """Profiling runs at these scale-outs."""
    return [make_run(i, x, **options) for i, x in enumerate(scale_outs)]  # type: ignore[arg-type]


def first_jobs(run: RunRecord, count: int) -> RunRecord:
    """The run as it is known after `count` jobs."""
    return RunRecord(run.run_id, run.context, run.started_at, run.jobs[:count], None)
