"""What a listener is answered while worker processes are killed, and when executors have died in a job."""

import asyncio
import contextlib
from collections.abc import Mapping

import httpx
import psutil

from tests.support.left_processes import command_line
from tests.support.samples import job_end
from tests.support.served_model import Registered

PREDICT = "/prediction/online_scale_out_prediction"


async def ask(service: httpx.AsyncClient, run: str, job_id: int, **fields: int) -> dict[str, object]:
    body = {**job_end(run, job_id, runtime_seconds=3.0, **fields), "predict": True}  # type: ignore[arg-type]
    answer = await service.post(PREDICT, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def recommended(service: httpx.AsyncClient, run: str, job_id: int, **fields: int) -> dict[str, object]:
    """Asked again where a busy machine took too long to start a worker: the same report changes nothing."""
    for _ in range(10):
        answer = await ask(service, run, job_id, **fields)
        if answer["best_predicted_scale_out_per_job"]:
            break
    assert answer["best_predicted_scale_out_per_job"], answer
    return answer


def workers() -> list[psutil.Process]:
    """Of services in this process."""
    lines = {child: " ".join(command_line(child)) for child in psutil.Process().children(recursive=True)}
    return [
        child for child, line in lines.items() if "multiprocessing" in line and "resource_tracker" not in line
    ]


async def test_a_worker_that_is_killed_amid_a_recommendation_keeps_nobody_waiting(
    service: httpx.AsyncClient, model: Registered, trained: Mapping[str, bytes]
) -> None:
    await model.publish(trained)
    run = await model.start_run(20.0)
    await recommended(service, run, 0)
    killed = 0
    for job_id in range(1, 3):
        asking = asyncio.create_task(ask(service, run, job_id))
        await asyncio.sleep(0.02)
        for worker in workers():
            with contextlib.suppress(psutil.NoSuchProcess):  # the pool has ended it just now
                worker.kill()
                killed += 1
        answer = await asking
        assert answer["best_predicted_scale_out_per_job"] or answer["reason"], answer
    assert killed
    await recommended(service, run, 3)
    assert [job.job_id for job in await model.executions.finished_jobs(run)] == list(range(4))


async def test_a_job_in_which_executors_died_is_stored_and_what_is_left_is_predicted_with_fewer(
    service: httpx.AsyncClient, model: Registered, trained: Mapping[str, bytes]
) -> None:
    await model.publish(trained)
    run = await model.start_run(20.0)
    await ask(service, run, 0, scale_out=4)
    await recommended(service, run, 1, scale_out=4, end_scale_out=1)
    job = (await model.executions.finished_jobs(run))[-1]
    assert (job.start_scale_out, job.end_scale_out) == (4, 1)
    decision = await model.executions.find_latest_decision(run)
    assert decision is not None
    assert (decision.job_id, decision.current_scale_out) == (1, 1)
