"""Documents that other versions and other writers have stored."""

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pydantic import Field, ValidationError

from common.executions.documents import ApplicationExecution, ApplicationState, JobExecution, ScalingDecision
from common.executions.repository import ExecutionRepository
from common.models.versions import ModelVersion
from common.mongo.document import Document
from common.mongo.stored import Reader, UnreadableDocument, read, unreadable_counts
from common.mongo.types import Client
from submission.schedules import SubmissionSchedule
from tests.support.samples import execution, specs
from training.runs.documents import TrainingRun
from training.runs.repository import TrainingRunRepository

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def application(**fields: Any) -> dict[str, Any]:
    return {**execution("e").to_mongo(), **fields}


def job(**fields: Any) -> dict[str, Any]:
    return {
        "_id": ObjectId(),
        "application_execution_id": "e",
        "application_id": "spark-1",
        "job_id": 0,
        "global_specs": specs()["global_specs"],
        "optional_specs": {},
        "end_time": NOW,
        **fields,
    }


@pytest.mark.parametrize("nothing", ["", "  ", None])
@pytest.mark.parametrize(
    "field",
    [
        "attempt_id",
        "start_time",
        "end_time",
        "start_scale_out",
        "last_job_id",
        "initial_scale_out",
        "scheduled_for",
        "state_changes",
        "manifests",
        "optional_specs",
        "spark_template_values",
    ],
)
def test_what_means_nothing_is_read_as_nothing(field: str, nothing: str | None) -> None:
    without = application()
    del without[field]
    expected = ApplicationExecution.from_mongo(without)
    assert getattr(read(ApplicationExecution, application(**{field: nothing})), field) == getattr(
        expected, field
    )


def test_numbers_and_texts_in_place_of_each_other() -> None:
    stage = {"stage_id": 3, "parent_stage_ids": [1, 2.0], "num_tasks": "12", "attempt_id": "", "metrics": ""}
    stage |= {"start_time": NOW, "end_time": NOW, "failure_reason": None, "rdd_mem_size": 5.0}
    found = read(JobExecution, job(job_id="7", stages={"3": stage, "4": None}, job_result=0))
    assert (found.job_id, found.job_result) == (7, "0")
    known = found.stages["3"]
    assert known is not None
    assert (known.stage_id, known.parent_stage_ids, known.num_tasks) == ("3", ["1", "2"], 12)
    assert (known.attempt_id, known.metrics, known.failure_reason) == (0, None, "")


def test_figures_that_are_none_count_as_missing() -> None:
    stage = {"stage_id": "3", "metrics": {"cpu_utilization": float("nan"), "gc_time_ratio": None}}
    found = read(JobExecution, job(stages={"3": stage}, rescaling_time_ratio=float("inf"))).stages["3"]
    assert found is not None
    assert found.metrics is not None
    assert (found.metrics.cpu_utilization, found.metrics.gc_time_ratio) == (0.0, 0.0)


def test_unknown_fields_and_states() -> None:
    changes = [{"state": "RUNNING", "at": NOW}, {"state": "INVALIDATING", "at": NOW}]
    found = read(ApplicationExecution, application(state="HIBERNATING", state_changes=changes, surprise=1))
    assert found.state is ApplicationState.UNKNOWN
    assert [change.state.value for change in found.state_changes] == ["RUNNING", "UNKNOWN"]
    assert read(ApplicationExecution, application(state="completed")).state is ApplicationState.COMPLETED


def test_fields_that_older_versions_did_not_have() -> None:
    found = read(
        ApplicationExecution,
        {"_id": "e", "created_at": NOW, "global_specs": specs()["global_specs"]},
    )
    assert found.state is ApplicationState.NEW
    assert found.worker_specs.cores == 1


@pytest.mark.parametrize(
    ("model", "document"),
    [
        (ApplicationExecution, application(attempt_id="first")),
        (ApplicationExecution, application(created_at="")),
        (ApplicationExecution, application(global_specs="")),
        (ApplicationExecution, application(global_specs={**specs()["global_specs"], "max_runtime": ""})),
        (ApplicationExecution, application(state_changes=[None])),
        (ApplicationExecution, {**application(), "_id": 5}),
        (JobExecution, job(end_time="")),
        (JobExecution, job(stages={"x": {"stage_id": "x"}})),
        (JobExecution, job(start_scale_out=-1)),
        (ScalingDecision, {"_id": "d"}),
        (TrainingRun, {"_id": "r", "state": "DREAMING"}),
        (ModelVersion, {"_id": "m/1", "name": "m", "version": 1}),
        (SubmissionSchedule, {"_id": "s", "cron": "0 3 * * *"}),
    ],
)
def test_what_cannot_be_read_is_an_error(model: Any, document: dict[str, Any]) -> None:
    before = repr(document)
    with pytest.raises(ValidationError):
        read(model, document)
    assert repr(document) == before


def test_no_switch_is_taken_to_be_off() -> None:
    schedule = {
        "_id": "s",
        "cron": "0 3 * * *",
        "submission": specs(),
        "next_fire_at": NOW,
        "starting_deadline_seconds": "",
    }
    assert read(SubmissionSchedule, schedule).starting_deadline_seconds is None
    with pytest.raises(ValidationError, match="paused"):
        read(SubmissionSchedule, {**schedule, "paused": ""})


class Identified(Document):
    id: str = Field(alias="_id")


async def test_it_is_told_once_and_counted_until_it_is_mended(
    mongo: Client, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Reader(ApplicationExecution, mongo[database]["application_execution"])
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(UnreadableDocument, match=r"application_execution 'e': attempt_id"):
                reader.one(application(attempt_id="first"))
            # Another model may read of it what it needs.
            assert Reader(Identified, mongo[database]["application_execution"]).one(application()).id == "e"
    [record] = caplog.records
    assert f"{database}.application_execution e" in record.getMessage()
    assert unreadable_counts(database) == {"application_execution": 1}
    assert reader.one(application()).id == "e"
    assert not any(unreadable_counts(database).values())


async def test_pages_are_full_whatever_lies_between(
    mongo: Client, database: str, executions: ExecutionRepository
) -> None:
    stored = mongo[database]["application_execution"]
    for number in range(30):
        document = {**execution(f"e{number:02}").to_mongo(), "created_at": NOW.replace(minute=number)}
        await stored.insert_one(document if number % 3 == 0 else {**document, "attempt_id": "bad"})
    seen: list[str] = []
    unreadable: set[str] = set()
    before = None
    while page := await executions.newest(before=before, limit=4):
        assert len(page) == 4 or page[-1].id == "e00"
        seen += [each.id for each in page]
        unreadable |= set(page.unreadable)
        before = (page[-1].created_at, page[-1].id)
    assert seen == [f"e{number:02}" for number in range(27, -1, -3)]
    assert len(unreadable) == 20


async def test_files_of_a_training_that_cannot_be_read_are_no_garbage(mongo: Client, database: str) -> None:
    """Another version may be about to register them."""
    runs = TrainingRunRepository(mongo, database)
    stored = {"_id": "r", "state": "WARMING_UP", "artifact_id": "a", "artifact_ids": ["a"]}
    await mongo[database]["training_run"].insert_one(stored)
    assert await runs.in_progress() == []
    assert await runs.artifacts_in_progress() == {"a"}
    await mongo.drop_database(database)
