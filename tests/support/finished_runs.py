"""Finished runs of a well-behaved application, in the database."""

from collections.abc import Sequence
from typing import Any

from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.wire.events import UpdateInformation
from tests.support.samples import application_start, execution, job_end

JOBS = 6

SCALE_OUTS = (2, 3, 4, 6)


async def store_finished_runs(
    executions: ExecutionRepository,
    algorithm_name: str,
    scale_outs: Sequence[int],
    *,
    slower: float = 1.0,
    hours_later: int = 0,
) -> None:
    """Runs whose jobs take 6 / scale-out seconds, or that times `slower`.

    Args:
        hours_later: When they began, after the samples' time.
    """
    for scale_out in scale_outs:
        run = execution(algorithm_name=algorithm_name)
        await executions.insert(run)
        seconds = slower * 6.0 / scale_out
        bodies = [application_start(run.id, start_scale_out=scale_out)]
        bodies += [
            job_end(
                run.id,
                job_id,
                start_seconds=2.0 + job_id * (seconds + 0.2),
                runtime_seconds=seconds,
                scale_out=scale_out,
            )
            for job_id in range(JOBS)
        ]
        for body in bodies:
            later = _later(body, hours_later * 3_600_000)
            await executions.apply_event(run.id, UpdateInformation.model_validate(later).event())
        last_job = (await executions.finished_jobs(run.id))[-1]
        await executions.record_state(
            run.id, ApplicationState.COMPLETED, fields={"end_time": last_job.end_time}
        )


async def store_history(executions: ExecutionRepository, algorithm_name: str = "KMeans") -> None:
    await store_finished_runs(executions, algorithm_name, SCALE_OUTS)


def _later(body: Any, milliseconds: int) -> Any:
    if isinstance(body, dict):
        return {
            key: value + milliseconds if key in ("start_time", "end_time") else _later(value, milliseconds)
            for key, value in body.items()
        }
    return body
