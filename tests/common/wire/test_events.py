"""What listeners send, and what they cannot have meant."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from common.executions.documents import JobExecution
from common.executions.merging import merge_job, new_job
from common.wire.events import MAX_PARENTS, MAX_STAGES, JobEnded, UpdateInformation
from tests.support.impossible_events import IMPOSSIBLE
from tests.support.samples import application_start, execution, job_end, stage


def parsed(body: dict[str, Any]) -> Any:
    return UpdateInformation.model_validate(body).event()


def test_updates_may_be_an_object_or_its_text() -> None:
    body = job_end("e", 7)
    assert parsed(body) == parsed({**body, "updates": json.dumps(body["updates"])})


@pytest.mark.parametrize(
    "number", ["0" * 20 + "9" * 30, str(2**63), 2**63, "9" * 5000, "0" * 30 + str(2**63)]
)
def test_stage_ids_beyond_64_bits_are_refused(number: object) -> None:
    body = job_end("e", 7, stages={str(number): stage(1, 1, 2)})
    with pytest.raises(ValidationError, match="64 bits"):
        parsed(body)


def test_a_stage_id_may_have_leading_zeros() -> None:
    assert list(parsed(job_end("e", 7, stages={"0" * 30 + "12": None, "000": None})).stages) == ["12", "0"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (1_625_427_075_095, datetime(2021, 7, 4, 19, 31, 15, 95_000, UTC)),
        ("1625427075095", datetime(2021, 7, 4, 19, 31, 15, 95_000, UTC)),
        ("2021-07-04T19:31:15.095Z", datetime(2021, 7, 4, 19, 31, 15, 95_000, UTC)),
        ("2021-07-04T21:31:15.095999+02:00", datetime(2021, 7, 4, 19, 31, 15, 95_000, UTC)),
        ("2021-07-04T19:31:15", datetime(2021, 7, 4, 19, 31, 15, 0, UTC)),
        (5, datetime(1970, 1, 1, 0, 0, 0, 5_000, UTC)),
    ],
)
def test_times_are_epoch_milliseconds_or_iso_8601(written: object, meant: datetime) -> None:
    assert parsed(application_start("e", start_time=written)).start_time == meant


def test_ids_of_stages_may_be_texts_or_numbers() -> None:
    body = job_end("e", 0)
    body["updates"]["stages"] = {"4": {**stage(4, 1, 2), "stage_id": 4, "parent_stage_ids": [3, "2"]}}
    assert parsed(body).stages["4"].parent_stage_ids == ["3", "2"]


@pytest.mark.parametrize(
    ("name", "stored"),
    [("n" * 300, "n" * 256), ("", None), ("  ", None), (None, None), ("\ud800", "?"), ("k-means", "k-means")],
)
def test_names_that_spark_takes_are_taken(name: str | None, stored: str | None) -> None:
    assert parsed(application_start("e", application_signature=name)).application_signature == stored


def test_what_is_long_is_cut_and_not_refused() -> None:
    """A union of many RDDs has a stage with as many parents; an exception's text may be a job's result."""
    stages = {"2000": {**stage(2000, 1, 2), "parent_stage_ids": list(range(1201))}}
    event = parsed(job_end("e", 0, stages=stages, job_result="r" * 5000))
    assert len(event.stages["2000"].parent_stage_ids) == MAX_PARENTS
    assert event.job_result == "r" * 256


def test_unknown_fields_are_ignored() -> None:
    body = job_end("e", 0, global_specs={"max_runtime": 1}, surprise=[1])
    assert not hasattr(parsed({**body, "other": 1}), "global_specs")


@pytest.mark.parametrize("stages", [{}, None])
def test_a_job_may_have_no_stages(stages: object) -> None:
    assert parsed(job_end("e", 0, stages=stages)).stages == {}


@pytest.mark.parametrize("body", [body for _, body in IMPOSSIBLE], ids=[name for name, _ in IMPOSSIBLE])
def test_impossible_events_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        parsed(body)


def test_texts_are_cut_and_mended_but_never_refused() -> None:
    body = job_end("e", 0, stages={"1": {"stage_name": "a\ud800b", "failure_reason": "x" * 100_000}})
    stage = parsed(body).stages["1"]
    assert stage.stage_name == "a?b"
    assert len(stage.failure_reason) == 4096


def test_a_whole_number_may_be_written_as_a_fraction() -> None:
    assert parsed({**job_end("e", 1, job_id=1.0), "job_id": 1.0}).job_id == 1


def _job(event: JobEnded) -> JobExecution:
    return new_job(event, execution("e"), None)


@given(st.permutations(range(4)))
def test_the_order_of_events_does_not_matter(order: list[int]) -> None:
    """Different reports of one job: a skipped stage that ran after all, a retried stage, a later end."""
    events = [
        parsed(job_end("e", 0, stages={"0": None, "1": stage(1, 1, 2)}, end_scale_out=None)),
        parsed(job_end("e", 0, stages={"0": stage(0, 1, 2)}, runtime_seconds=5)),
        parsed(job_end("e", 0, stages={"1": stage(1, 3, 4, attempt_id=1)}, runtime_seconds=4)),
        parsed(job_end("e", 0, stages={"0": None}, runtime_seconds=1, predicted_scale_out=6)),
    ]
    in_order = _job(events[0])
    for event in events[1:]:
        in_order = merge_job(in_order, event)
    shuffled = _job(events[order[0]])
    for index in order[1:]:
        shuffled = merge_job(shuffled, events[index])
    assert shuffled.model_dump(exclude={"received_at"}) == in_order.model_dump(exclude={"received_at"})
    assert in_order.stages["1"] is not None
    assert in_order.stages["1"].attempt_id == 1
    assert in_order.stages["0"] is not None
    assert in_order.predicted_scale_out == 6


def test_the_same_event_again_changes_nothing() -> None:
    event = parsed(job_end("e", 0))
    job = _job(event)
    assert merge_job(job, event) == job


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        (None, ""),
        (7, "7"),
        (True, "true"),
        (1.5, "1.5"),
        ("\ud800", "?"),
        ("a\0\x1b", "a\0\x1b"),
        ("x" * 10_000, "x" * 4096),
    ],
)
def test_a_stage_is_called_whatever_somebody_calls_it(said: object, stored: str) -> None:
    body = job_end("e", 0, job_result=said)
    body["updates"]["stages"]["0"].update(stage_name=said, failure_reason=said)
    event = UpdateInformation.model_validate(body).event()
    assert isinstance(event, JobEnded)
    found = event.stages["0"]
    assert found is not None
    assert (found.stage_name[:4096], found.failure_reason) == (stored, stored)
    assert event.job_result == (None if said is None else stored[: len(event.job_result or "")])
    start = application_start("e", application_signature=said)
    assert UpdateInformation.model_validate(start).event() is not None


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ({"Result": "JobFailed", "Exception": {"Message": "x" * 2**20}}, "JobFailed"),
        ({"reason": "é"}, '{"reason": "é"}'),
        (["JobFailed", 1], '["JobFailed", 1]'),
        ("JobFailed(" + "x" * 2**20 + ")", "JobFailed(" + "x" * 246),
    ],
)
def test_results_of_jobs_may_be_of_any_kind(said: object, stored: str) -> None:
    assert parsed(job_end("e", 0, job_result=said)).job_result == stored
    named = parsed(job_end("e", 0, stages={"1": {"stage_name": said, "failure_reason": said}})).stages["1"]
    assert named.stage_name
    assert len(named.failure_reason) <= 4096


@pytest.mark.parametrize(
    ("said", "stored"),
    [("2", 2), (" 3 ", 3), (4, 4), (None, None), ("", None), ("appattempt_1_000002", None), ("x", None)],
)
def test_an_attempt_may_be_called_anything(said: object, stored: int | None) -> None:
    assert parsed(application_start("e", attempt_id=said)).attempt_id == stored


@pytest.mark.parametrize("negative", [-1, "-1"])
def test_numbers_of_attempts_are_not_negative(negative: object) -> None:
    with pytest.raises(ValidationError):
        parsed(application_start("e", attempt_id=negative))


def test_metrics_that_are_null_were_not_said() -> None:
    metrics = {"cpu_utilization": None, "gc_time_ratio": 0.5}
    found = parsed(job_end("e", 0, stages={"1": {**stage(1, 1, 2), "metrics": metrics}})).stages["1"].metrics
    assert (found.cpu_utilization, found.gc_time_ratio) == (0.0, 0.5)


def test_of_more_stages_than_are_stored_those_that_ran_are_kept_and_the_rest_is_counted() -> None:
    """Programs that repeat themselves have thousands of skipped stages in their lineage."""
    ran = {str(n): stage(n, 1, 2) for n in range(40)}
    skipped = {str(n): None for n in range(40, MAX_STAGES + 7)}
    event = parsed(job_end("e", 0, stages={**ran, **skipped}))
    assert len(event.stages) == MAX_STAGES
    assert [key for key, each in event.stages.items() if each] == list(ran)
    assert event.stages_left_out == 7
    job = _job(event)
    assert job.stages_left_out == 7
    assert merge_job(job, event) == job


def test_parents_that_are_left_out_are_counted() -> None:
    parents = [str(n) for n in range(MAX_PARENTS + 201)]
    [found] = parsed(job_end("e", 0, stages={"5000": {"parent_stage_ids": parents}})).stages.values()
    assert (found.parent_stage_ids, found.parents_left_out) == (parents[:MAX_PARENTS], 201)
    stored = _job(parsed(job_end("e", 0, stages={"5000": {"parent_stage_ids": parents}}))).stages["5000"]
    assert stored is not None
    assert stored.parents_left_out == 201


def test_what_is_null_of_a_stage_was_not_said() -> None:
    body = job_end("e", 0)
    stage = body["updates"]["stages"]["0"]
    body["updates"]["stages"]["0"] = dict.fromkeys(stage)
    event = UpdateInformation.model_validate(body).event()
    assert isinstance(event, JobEnded)
    found = event.stages["0"]
    assert found is not None
    assert (found.num_tasks, found.parent_stage_ids, found.metrics, found.rdd_mem_size) == (0, [], None, None)
