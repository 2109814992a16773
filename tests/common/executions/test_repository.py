"""What is stored of events, on a real replica set."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.errors import ApplicationExecutionNotFound
from common.executions.documents import ApplicationState, ScalingDecision
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from tests.support.applied import send
from tests.support.samples import START_MS, application_start, at, execution, job_end, stage
from training.history.from_documents import to_run_record

START = datetime(2026, 8, 1, tzinfo=UTC)


async def everything(mongo: Client, database: str) -> dict[str, list[Any]]:
    found = mongo[database]
    return {name: await found[name].find().to_list() for name in ("application_execution", "job_execution")}


@pytest.fixture
async def run(executions: ExecutionRepository) -> str:
    created = execution()
    await executions.insert(created)
    return created.id


async def test_a_job_reaches_both_documents(executions: ExecutionRepository, run: str) -> None:
    await send(executions, application_start(run))
    await send(executions, job_end(run, 3, scale_out=4))
    application = await executions.get(run)
    [job] = await executions.finished_jobs(run)
    assert (application.application_id, application.application_signature) == ("spark-1", "k-means")
    assert (application.last_job_id, application.end_scale_out) == (3, 4)
    assert job.global_specs == application.global_specs
    assert job.optional_specs.spark_version == "4.1.4"
    assert job.application_signature == "k-means"
    assert job.stages["11"] is None
    assert job.stages["10"] is not None
    assert job.stages["10"].parent_stage_ids == ["9"]


async def test_one_event_sent_many_times_at_once_is_stored_once(
    executions: ExecutionRepository, mongo: Client, database: str, run: str
) -> None:
    await asyncio.gather(*(send(executions, job_end(run, 0)) for _ in range(12)))
    first = await everything(mongo, database)
    assert len(first["job_execution"]) == 1
    await send(executions, job_end(run, 0))
    await send(executions, application_start(run))
    after_start = await everything(mongo, database)
    await send(executions, application_start(run))
    await send(executions, job_end(run, 0))
    assert await everything(mongo, database) == after_start


async def test_jobs_sent_at_once_are_all_stored(executions: ExecutionRepository, run: str) -> None:
    await asyncio.gather(*(send(executions, job_end(run, job_id)) for job_id in range(10)))
    assert [job.job_id for job in await executions.finished_jobs(run)] == list(range(10))
    assert (await executions.get(run)).last_job_id == 9


async def test_a_job_may_overtake_the_start(executions: ExecutionRepository, run: str) -> None:
    await send(executions, job_end(run, 0))
    assert (await executions.get(run)).application_id == "spark-1"
    await send(executions, application_start(run))
    application = await executions.get(run)
    [job] = await executions.finished_jobs(run)
    assert application.start_time is not None
    assert application.last_job_id == 0
    assert job.application_signature == "k-means"


async def test_a_late_job_does_not_turn_the_application_back(
    executions: ExecutionRepository, run: str
) -> None:
    await send(executions, job_end(run, 5, scale_out=6))
    await send(executions, job_end(run, 2, scale_out=2))
    application = await executions.get(run)
    assert (application.last_job_id, application.end_scale_out) == (5, 6)


FIRST = stage(1, START_MS, START_MS + 90_000, 2, num_tasks=64, failure_reason="FetchFailed")
SECOND = stage(1, START_MS + 92_000, START_MS + 96_000, 4, attempt_id=1, num_tasks=3)
BOTH = {**SECOND, "start_time": START_MS, "start_scale_out": 2, "num_tasks": 64, "num_attempts": 2} | {
    "failure_reason": "FetchFailed"
}


@pytest.mark.parametrize(
    "reports",
    [(FIRST, SECOND), (SECOND, FIRST), (BOTH,), (SECOND, BOTH, FIRST), (FIRST, SECOND, FIRST, SECOND)],
)
async def test_a_retried_stage_is_one_stage(
    executions: ExecutionRepository, run: str, reports: tuple[dict[str, Any], ...]
) -> None:
    """From the first start to the last end, with all of its tasks, whoever makes it one and in any order."""
    for each in reports:
        await send(executions, job_end(run, 0, runtime_seconds=100.0, stages={"1": each, "2": None}))
    [job] = await executions.finished_jobs(run)
    found = job.stages["1"]
    assert found is not None
    assert (found.start_time, found.end_time) == (at(0), at(96))
    assert (found.start_scale_out, found.end_scale_out) == (2, 4)
    assert (found.attempt_id, found.num_attempts, found.num_tasks) == (1, 2, 64)
    assert found.failure_reason == "FetchFailed"
    [stage_record] = to_run_record(await executions.get(run), [job]).jobs[0].stages
    assert (stage_record.num_tasks, stage_record.runtime_seconds) == (64, 96.0)


async def test_an_unknown_execution_stores_nothing(
    executions: ExecutionRepository, mongo: Client, database: str
) -> None:
    with pytest.raises(ApplicationExecutionNotFound):
        await send(executions, job_end("nobody", 0))
    assert await everything(mongo, database) == {"application_execution": [], "job_execution": []}


async def test_events_touch_only_their_own_run(executions: ExecutionRepository, run: str) -> None:
    other = execution()
    await executions.insert(other)
    await send(executions, job_end(run, 0, global_specs={"max_runtime": 1.0}, _id="x", state="COMPLETED"))
    assert await executions.get(other.id) == other
    assert (await executions.get(run)).global_specs.max_runtime == 120.0
    assert (await executions.get(run)).state is ApplicationState.NEW


async def test_a_failing_second_write_takes_the_first_back(
    executions: ExecutionRepository, mongo: Client, database: str, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Job and application are one transaction."""

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("between the writes")

    monkeypatch.setattr(executions._applications, "bulk_write", fail)
    with pytest.raises(RuntimeError):
        await send(executions, job_end(run, 0))
    assert await mongo[database]["job_execution"].count_documents({}) == 0


async def test_what_a_later_start_leaves_out_is_kept(executions: ExecutionRepository, run: str) -> None:
    await send(executions, application_start(run))
    await send(executions, job_end(run, 0))
    await send(executions, application_start(run, application_signature=None, attempt_id=None))
    [job] = await executions.finished_jobs(run)
    assert job.application_signature == (await executions.get(run)).application_signature == "k-means"


async def test_a_restarted_driver_takes_over(executions: ExecutionRepository, run: str) -> None:
    await send(executions, application_start(run))
    await send(executions, job_end(run, 0))
    later = application_start(run, "spark-2", start_time=1_625_427_990_000, attempt_id=1)
    await send(executions, later)
    await send(executions, job_end(run, 0, "spark-2", start_seconds=931.0))
    application = await executions.get(run)
    assert (application.application_id, application.attempt_id) == ("spark-2", 1)
    assert len(await executions.finished_jobs(run)) == 2
    assert len(await executions.finished_jobs(run, "spark-2")) == 1


async def test_a_final_state_is_never_left(executions: ExecutionRepository, run: str) -> None:
    assert await executions.record_state(run, ApplicationState.RUNNING)
    ended = utc_now()
    assert await executions.record_state(run, ApplicationState.COMPLETED, fields={"end_time": ended})
    assert not await executions.record_state(run, ApplicationState.FAILED)
    stored = await executions.get(run)
    assert stored.state is ApplicationState.COMPLETED
    assert stored.end_time == ended
    assert [change.state for change in stored.state_changes] == ["RUNNING", "COMPLETED"]


async def test_history_is_completed_runs_with_jobs_oldest_first(executions: ExecutionRepository) -> None:
    wanted = []
    for index, state in enumerate(["COMPLETED", "FAILED", "COMPLETED", "RUNNING"]):
        created = execution()
        await executions.insert(created)
        await send(executions, application_start(created.id))
        if index != 2:
            await send(executions, job_end(created.id, 0))
        await executions.record_state(created.id, ApplicationState(state))
        if index == 0:
            wanted.append(created.id)
    found = await executions.finished_runs("spark", "KMeans", 10)
    assert [(stored.id, len(jobs)) for stored, jobs in found] == [(wanted[0], 1)]
    assert not await executions.finished_runs("spark", "MPC", 10)


async def test_history_reaches_past_many_runs_that_teach_nothing(
    executions: ExecutionRepository, mongo: Client, database: str
) -> None:
    """More than are read at once, at the first and at every further time."""
    teaching = []
    for minute in range(70):
        created = execution().model_copy(update={"created_at": START + timedelta(minutes=minute)})
        await executions.insert(created)
        if minute < 5 or minute in (20, 60):
            await send(executions, job_end(created.id, 0))
            teaching.append(created.id)
    reported = {
        "state": ApplicationState.COMPLETED.value,
        "application_id": "spark-1",
        "start_time": START,
        "last_job_id": 0,
    }
    await mongo[database]["application_execution"].update_many({}, {"$set": reported})
    for limit in (1, 2, 5, 7, 9):
        found = [run.id for run, _ in await executions.finished_runs("spark", "KMeans", limit)]
        assert found == teaching[-limit:]


async def test_the_latest_decision_is_of_the_run_whatever_the_clock_said_before_it(
    executions: ExecutionRepository, mongo: Client, database: str
) -> None:
    assert await executions.find_latest_decision("e") is None
    for minute, job_id in ((60, -1), (1, 0), (2, 1)):
        decision = ScalingDecision(
            id=f"after-{job_id}",
            application_execution_id="e",
            job_id=job_id,
            decided_at=START + timedelta(minutes=minute),
            elapsed_seconds=0.0,
            current_scale_out=2,
            target_seconds=20.0,
            reason="because",
        )
        await executions.insert_decision(decision)
        latest = await executions.find_latest_decision("e")
        assert latest is not None
        assert latest.job_id == job_id
    unreadable = {**decision.to_mongo(), "_id": "later", "elapsed_seconds": "long"}
    await mongo[database]["scaling_decision"].insert_one(
        {**unreadable, "decided_at": START + timedelta(minutes=3)}
    )
    assert await executions.find_latest_decision("e") == decision


async def test_pages_are_newest_first_and_complete(executions: ExecutionRepository) -> None:
    for _ in range(5):
        await executions.insert(execution())
    first = await executions.newest(limit=2)
    rest = await executions.newest(before=(first[-1].created_at, first[-1].id), limit=10)
    seen = [item.id for item in [*first, *rest]]
    assert len(set(seen)) == 5
    assert seen == [item.id for item in await executions.newest(limit=10)]


async def test_summaries_tell_of_jobs_without_their_measurements(
    executions: ExecutionRepository, run: str
) -> None:
    for job_id in (1, 0):
        await send(executions, job_end(run, job_id, scale_out=3, predicted_scale_out=4))
    await send(executions, job_end(run, 2, stages=None))
    jobs = await executions.finished_jobs(run)
    summaries = await executions.job_summaries(run)
    assert [summary.stages for summary in summaries] == [3, 3, 0], "the skipped one included"
    for job, summary in zip(jobs, summaries, strict=True):
        shared = set(type(summary).model_fields) - {"stages", "spans"}
        assert summary.model_dump(include=shared) == job.model_dump(include=shared)
        ran = [each for each in job.stages.values() if each is not None]
        assert [(span.start_time, span.end_time, span.start_scale_out) for span in summary.spans] == [
            (each.start_time, each.end_time, each.start_scale_out) for each in ran
        ]
    assert await executions.job_summaries(run, "spark-other") == []
