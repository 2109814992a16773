"""From stored documents to the model's view."""

from typing import Any

import pytest

from common.executions.documents import JobExecution
from common.executions.merging import application_fields, new_job
from common.wire.events import UpdateInformation
from tests.support.samples import START_MS, application_start, execution, job_end, stage
from training.history.from_documents import memory_megabytes, to_run_context, to_run_record


def job(body: dict[str, Any]) -> JobExecution:
    event: Any = UpdateInformation.model_validate(body).event()
    stored: JobExecution = new_job(event, execution("e"), None)
    return stored


@pytest.mark.parametrize(
    ("size", "megabytes"),
    [
        ("512m", 512),
        ("2g", 2048),
        ("1Gi", 1024),
        ("1024k", 1),
        ("3mb", 3),
        ("1T", 1 << 20),
        ("1", 1),
        ("2048", 2048),
    ],
)
def test_memory_sizes(size: str, megabytes: int) -> None:
    assert memory_megabytes(size) == megabytes


def test_times_are_seconds_since_the_start() -> None:
    started: Any = UpdateInformation.model_validate(application_start("e")).event()
    application = execution("e").model_copy(update=application_fields(started))
    record = to_run_record(application, [job(job_end("e", 1)), job(job_end("e", 0, scale_out=4))])
    assert [j.job_id for j in record.jobs] == [0, 1]
    assert record.started_at == START_MS / 1000
    assert record.jobs[0].start_seconds == pytest.approx(2.0)
    assert record.jobs[0].runtime_seconds == pytest.approx(3.0)
    assert record.jobs[0].start_scale_out == 4
    assert record.runtime_seconds is None


def test_skipped_stages_are_left_out_and_so_are_edges_to_them() -> None:
    body = job_end("e", 0, stages={"1": None, "2": stage(2, START_MS, START_MS + 9, parent_stage_ids=[1])})
    [found] = to_run_record(execution("e"), [job(body)]).jobs[0].stages
    assert found.stage_id == 2
    assert found.parent_ids == ()
    assert found.metrics is not None
    assert found.metrics.cpu_utilization == 0.7


def test_a_job_that_says_little_still_counts() -> None:
    body = job_end("e", 0, start_time=None, start_scale_out=None, end_scale_out=None, stages={})
    record = to_run_record(execution("e"), [job(body)]).jobs[0]
    assert (record.start_scale_out, record.end_scale_out) == (2, 2)
    assert record.runtime_seconds == 0.0


def test_the_context_is_taken_from_the_specs() -> None:
    context = to_run_context(execution("e", data_size_MB=7))
    assert context.data_size_mb == 7
    assert context.algorithm_args == ("--iterations", "4")
    assert context.versions == ("4.1.4",)


@pytest.mark.parametrize(
    ("result", "reason", "failed"),
    [
        ("JobSucceeded", "", False),
        ("JobSucceeded", "FetchFailed", False),
        ("JobFailed", "", True),
        ("[SPARK_JOB_CANCELLED] Job 3 cancelled", "", True),
        (None, "Job aborted due to stage failure", True),
        (None, "", False),
    ],
)
def test_a_job_that_failed_is_told(result: str | None, reason: str, failed: bool) -> None:
    stages = {
        "1": stage(1, START_MS, START_MS + 9),
        "2": stage(2, START_MS, START_MS + 9, failure_reason=reason),
    }
    [found] = to_run_record(execution("e"), [job(job_end("e", 0, job_result=result, stages=stages))]).jobs
    assert found.failed == failed
    assert not found.retried


def test_a_stage_that_was_tried_again_is_told() -> None:
    stages = {"1": stage(1, START_MS, START_MS + 9, attempt_id=1)}
    [found] = to_run_record(execution("e"), [job(job_end("e", 0, stages=stages))]).jobs
    assert found.retried
