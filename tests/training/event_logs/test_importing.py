"""Runs of the past in the database: as the plugin reports them, once however often they come."""

from datetime import timedelta
from typing import Any

import pytest

from app.dashboard.progress import progress_of
from common.errors import InvalidRequest
from common.executions.attempts import driver_attempts
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.filter import ExecutionFilter
from common.executions.repository import ExecutionRepository
from common.wire.events import UpdateInformation
from tests.support.samples import application_start
from tests.support.samples import specs as example_specs
from training.event_logs.importing import RunImporter, RunPiece

START = 1_795_928_708_000


def piece(application_id: str = "app-1", **fields: Any) -> RunPiece:
    started = {"application_id": application_id, "application_signature": "Sort", "start_time": START}
    job = {"job_id": 0, "start_time": START + 1000, "end_time": START + 9000, "job_result": "JobSucceeded"}
    end = {"outcome": "COMPLETED", "end_time": START + 10_000}
    said = {"specs": example_specs(), "started": started, "jobs": [job], "ended": end}
    return RunPiece.model_validate({**said, **fields})


async def test_a_run_is_history_and_once(executions: ExecutionRepository) -> None:
    importer = RunImporter(executions)
    first = await importer.take(piece(), "anna")
    again = await importer.take(piece(), "anna")
    assert (first.is_new, again.is_new) == (True, False)
    assert first.application_execution_id == again.application_execution_id
    execution = await executions.get(first.application_execution_id)
    assert (execution.state, execution.runtime_seconds, execution.submitted_by) == ("COMPLETED", 10.0, "anna")
    assert execution.created_at == execution.start_time
    names = execution.global_specs
    [(run, jobs)] = await executions.finished_runs("spark", names.algorithm_name, 10)
    assert (run.id, [job.job_id for job in jobs]) == (execution.id, [0])


async def test_of_a_log_without_its_end_nothing_is_learned_until_the_whole_one_comes(
    executions: ExecutionRepository,
) -> None:
    importer = RunImporter(executions)
    cut = piece(ended={"outcome": "UNKNOWN", "reason": "it is cut"})
    name = cut.specs.global_specs.algorithm_name
    first = await importer.take(cut, None)
    execution = await executions.get(first.application_execution_id)
    assert (execution.state, execution.state_reason) == ("UNKNOWN", "it is cut")
    assert not await executions.finished_runs("spark", name, 10)
    # It has ended all the same, whenever: nothing of it goes on, and no clock runs for it.
    [attempt] = driver_attempts(execution, await executions.job_summaries(execution.id))
    assert (execution.goes_on, attempt.state) == (False, "last")
    shown = progress_of(execution, None, execution.created_at + timedelta(days=9))
    assert (shown.runtime_seconds, shown.projected_seconds, shown.is_overdue) == (None, None, False)
    running = ExecutionFilter(states=[ApplicationState.UNKNOWN], without_logs=True)
    assert not await executions.newest(running, limit=9)
    assert (await importer.take(piece(), None)).state == "COMPLETED"
    assert len(await executions.finished_runs("spark", name, 10)) == 1


async def test_attempts_on_yarn_are_one_run_whose_last_one_counts(executions: ExecutionRepository) -> None:
    importer = RunImporter(executions)
    started = {"application_id": "application_1_0001", "attempt_id": 1, "start_time": START}
    killed = piece(started=started, ended={"outcome": "UNKNOWN", "reason": "killed"})
    later = {**started, "attempt_id": 2, "start_time": START + 60_000}
    job = {"job_id": 0, "start_time": START + 61_000, "end_time": START + 62_000}
    second = piece(started=later, jobs=[job], ended={"outcome": "COMPLETED", "end_time": START + 63_000})
    one, two = await importer.take(killed, None), await importer.take(second, None)
    assert one.application_execution_id == two.application_execution_id
    jobs = await executions.finished_jobs(one.application_execution_id)
    assert {each.application_id for each in jobs} == {"application_1_0001", "application_1_0001_2"}
    execution = await executions.get(one.application_execution_id)
    assert (execution.application_id, execution.state) == ("application_1_0001_2", "COMPLETED")
    await importer.take(killed, None)
    assert (await executions.get(execution.id)).application_id == "application_1_0001_2"


async def test_what_its_own_driver_has_reported_stays_as_it_is(executions: ExecutionRepository) -> None:
    known = ApplicationExecution(id="live", runner="local", application_id="app-9", **example_specs())
    await executions.insert(known)
    found = await RunImporter(executions).take(piece("app-9"), None)
    assert (found.reported_by_plugin, found.application_execution_id) == (True, "live")
    assert not await executions.finished_jobs("live")


async def test_the_log_of_a_driver_that_was_replaced_is_of_a_known_run(
    executions: ExecutionRepository,
) -> None:
    known = ApplicationExecution(id="live", runner="local", **example_specs())
    await executions.insert(known)
    for number, application_id in enumerate(("app-8", "app-9")):
        body = application_start("live", application_id, start_time=START + 60_000 * number)
        await executions.apply_event("live", UpdateInformation.model_validate(body).event())
    assert (await executions.get("live")).application_id == "app-9"
    found = await RunImporter(executions).take(piece("app-8"), None)
    assert (found.reported_by_plugin, found.application_execution_id) == (True, "live")


async def test_what_is_impossible_is_refused_before_anything_is_stored(
    executions: ExecutionRepository,
) -> None:
    jobs = [{"job_id": 0, "start_time": START, "end_time": START - 1}]
    with pytest.raises(InvalidRequest, match=r"jobs\.0"):
        await RunImporter(executions).take(piece(jobs=jobs), None)
    assert await executions.find_by_application_id("app-1") is None


async def test_ids_that_a_whole_log_leaves_out_are_of_no_job(executions: ExecutionRepository) -> None:
    importer = RunImporter(executions)
    times = {"start_time": START + 1000, "end_time": START + 9000, "job_result": "JobSucceeded"}
    jobs = [{"job_id": job_id, **times} for job_id in (0, 2)]
    name = piece().specs.global_specs.algorithm_name
    found = await importer.take(piece(jobs=jobs), None)
    assert not await executions.finished_runs("spark", name, 10)
    whole = {"outcome": "COMPLETED", "end_time": START + 10_000, "ended_jobs": 2}
    assert (await importer.take(piece(jobs=jobs, ended=whole), None)).is_new is False
    [(run, _)] = await executions.finished_runs("spark", name, 10)
    assert run.id == found.application_execution_id


ATTEMPT_ENDS = [
    {"outcome": "FAILED", "end_time": START + 20_000, "reason": "its last job failed"},
    {"outcome": "COMPLETED", "end_time": START + 20_000},
    {"outcome": "UNKNOWN", "reason": "cut"},
]


@pytest.mark.parametrize("ended", ATTEMPT_ENDS, ids=lambda end: end["outcome"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0), (1, 0, 1)])
async def test_what_becomes_of_a_run_is_what_became_of_its_last_attempt(
    executions: ExecutionRepository, order: tuple[int, ...], ended: dict[str, Any]
) -> None:
    """However the first one ended, and whichever log comes first; twice adds nothing."""
    started = {"application_id": "application_7_0001", "attempt_id": 1, "start_time": START}
    jobs = [{"job_id": 0, "start_time": START + 1000, "end_time": START + 9000, "job_result": "JobFailed"}]
    first = piece(
        started=started,
        jobs=jobs,
        ended={**ended, "ended_jobs": 1} if ended["outcome"] != "UNKNOWN" else ended,
    )
    later = {**started, "attempt_id": 2, "start_time": START + 60_000}
    jobs = [
        {"job_id": job_id, "start_time": START + 61_000, "end_time": START + 62_000 + job_id}
        for job_id in range(2)
    ]
    end = {"outcome": "COMPLETED", "end_time": START + 63_000, "ended_jobs": 2}
    second = piece(started=later, jobs=jobs, ended=end)
    for number in order:
        found = await RunImporter(executions).take((first, second)[number], None)
    execution = await executions.get(found.application_execution_id)
    assert (execution.state, execution.application_id) == ("COMPLETED", "application_7_0001_2")
    assert (execution.runtime_seconds, execution.attempt_seconds, execution.ended_jobs) == (63.0, 3.0, 2)
    assert execution.reported_after_end_at is None
    assert len(await executions.finished_jobs(execution.id)) == 3
    ends = [None if ended["outcome"] == "UNKNOWN" else START + 20_000, START + 63_000]
    attempts = driver_attempts(execution, await executions.job_summaries(execution.id))
    assert [each.end_time and round(each.end_time.timestamp() * 1000) for each in attempts] == ends
    assert [each.state for each in attempts] == ["replaced", "last"]
    assert execution.reported_end_time == execution.end_time == execution.platform_end_time
    [(run, learned)] = await executions.finished_runs("spark", execution.global_specs.algorithm_name, 10)
    assert (run.id, len(learned)) == (execution.id, 2)


async def test_pieces_in_any_order_are_no_reports_of_a_driver(executions: ExecutionRepository) -> None:
    """The end comes first, and a job of a fuller log later."""
    failed = {"outcome": "FAILED", "end_time": START + 5_000}
    await RunImporter(executions).take(piece(jobs=[], ended=failed), None)
    found = await RunImporter(executions).take(piece(ended=None), None)
    execution = await executions.get(found.application_execution_id)
    assert execution.state == "FAILED"
    assert (execution.reported_after_end_at, execution.contradicted_at, execution.driver_reports) == (
        None,
        None,
        False,
    )
