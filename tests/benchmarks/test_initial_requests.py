"""What the benchmark measures of the service is what the service answers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from benchmarks.initial_protocol import tasks
from benchmarks.initial_requests import answered, answered_within, as_context, as_run, medians
from benchmarks.recorded_runs import RecordedJob, RecordedRun
from common.executions.documents import ApplicationExecution, ApplicationState, JobExecution
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from training.history.values import RunContext, RunRecord

SIZES, SCALE_OUTS = (1000, 2000, 4000), (2, 4, 6, 8)


def recorded_job() -> RecordedJob:
    """Amdahl's law; every run was repeated, and is some percent off."""
    random = np.random.default_rng(3)
    runs = []
    for size in SIZES:
        for x in SCALE_OUTS:
            for _ in range(2):
                seconds = size / 10 * (1 / 3 + 4 / (3 * x)) * float(random.lognormal(0.0, 0.03))
                context = {"machine_type": "m4.xlarge", "slots": 4.0, "data_size_MB": float(size), "k": 8.0}
                runs.append(RecordedRun(tuple(context.items()), float(x), round(seconds, 3), {}))
    return RecordedJob("sort", tuple(runs), ("slots",), ("data_size_MB",), "machine_type")


def specs_of(context: RunContext) -> dict[str, Any]:
    return {
        "global_specs": {
            "algorithm_name": context.algorithm_name,
            "algorithm_args": list(context.algorithm_args),
            "data_size_MB": context.data_size_mb,
            "machine_name": context.machine_name,
            "experiment_name": "recorded",
            "min_scale_out": SCALE_OUTS[0],
            "max_scale_out": SCALE_OUTS[-1],
            "max_runtime": 1000.0,
        },
        "worker_specs": {
            "scale_out": 2,
            "cores": context.executor_cores,
            "memory": f"{context.executor_memory_mb}m",
        },
    }


async def store(executions: ExecutionRepository, runs: Sequence[RunRecord]) -> None:
    for run in runs:
        begun = datetime.fromtimestamp(run.started_at, UTC)
        ended = begun + timedelta(seconds=run.runtime_seconds or 0.0)
        scale_out = run.jobs[0].end_scale_out
        execution = ApplicationExecution(
            id=run.run_id,
            application_id=f"spark-{run.run_id}",
            created_at=begun,
            state=ApplicationState.COMPLETED,
            start_time=begun,
            end_time=ended,
            start_scale_out=scale_out,
            last_job_id=0,
            last_job_end_time=ended,
            **specs_of(run.context),
        )
        await executions.insert(execution)
        job = JobExecution(
            application_execution_id=execution.id,
            application_id=execution.application_id or "",
            job_id=0,
            global_specs=execution.global_specs,
            optional_specs=execution.optional_specs,
            start_time=begun,
            end_time=ended,
            start_scale_out=scale_out,
            end_scale_out=scale_out,
            rescaling_time_ratio=0.0,
        )
        await executions._jobs.insert_one(job.to_mongo())


@pytest.mark.parametrize("points", [0, 2])
async def test_it_measures_what_the_service_answers(
    service: httpx.AsyncClient, mongo: Client, points: int
) -> None:
    job = recorded_job()
    task = list(tasks(job, points, seed=0))[1]
    executions = ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]
    await executions._applications.delete_many({})
    await executions._jobs.delete_many({})
    await store(executions, [as_run(job, run, number) for number, run in enumerate(task.known)])
    measured = answered(task)
    body = specs_of(as_context(job, task.context))
    answer = (await service.post("/prediction/initial_scale_out", json=body)).raise_for_status().json()
    assert answer["runs"] == measured.runs == len(task.known), answer["reason"]
    by_scale_out = {each["scale_out"]: each["remaining_seconds"] for each in answer["candidates"]}
    asked = [by_scale_out[x] for x in SCALE_OUTS]
    # The service asks for every scale-out between the two: sums have another order.
    assert asked == pytest.approx(medians(measured), rel=1e-6)
    assert np.abs(medians(measured) / task.runtimes - 1.0)[task.asked].mean() < 0.15
    assert 0.0 <= answered_within(task, measured) <= 1.0
