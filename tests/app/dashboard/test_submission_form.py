"""From what was typed to the body of a request, and back from an earlier run."""

import json

import pytest

from app.dashboard.submission_form import (
    DEFAULTS,
    FIELDS,
    FormError,
    body_of,
    recurs,
    request_of,
    schedule_of,
    typed_for,
)
from common.executions.documents import ApplicationExecution
from tests.support.samples import specs


def test_the_form_as_it_opens_is_a_valid_request() -> None:
    request = request_of(DEFAULTS)
    assert request.global_specs.algorithm_args == ["--iterations", 10, "--partitions", 12]
    assert request.global_specs.max_runtime == 60.0


def test_everything_else_lies_beneath_the_fields() -> None:
    others = {"global_specs": {"machine_name": "m5.large", "algorithm_name": "other"}, "optional_specs": {}}
    body = body_of(
        {"algorithm_name": "KMeans", "others": json.dumps(others), "main_application_file": "a.py"}
    )
    assert body["global_specs"] == {"machine_name": "m5.large", "algorithm_name": "KMeans"}
    assert body["spark_template_values"] == {"main_application_file": "a.py"}


def test_another_run_like_an_earlier_one() -> None:
    sent = specs(algorithm_args=["--input", "a folder", "--iterations", 4], data_characteristics="sparse")
    sent["spark_template_values"] = {"image": "registry/spark:1", "release_name": "nightly"}
    earlier = ApplicationExecution(id="one", name="nightly", **sent)
    typed = typed_for(earlier)
    assert typed["algorithm_args"] == "--input 'a folder' --iterations 4"
    assert typed["name"] == ""
    again = request_of(typed)
    assert again.global_specs.model_dump() == earlier.global_specs.model_dump()
    assert again.worker_specs == earlier.worker_specs
    assert again.spark_template_values == {"image": "registry/spark:1"}


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"others": "{"}, "others"),
        ({"others": "[1]"}, "others"),
        ({"others": '{"global_specs": 3}', "algorithm_name": "KMeans"}, "others"),
        ({"algorithm_args": "'open"}, "algorithm_args"),
        ({"max_runtime": "soon"}, "max_runtime"),
        ({"max_runtime": ""}, "max_runtime"),
        ({"executor_memory": "much"}, "executor_memory"),
        ({"solution_name": "magic"}, "solution_name"),
        ({"min_scale_out": "7"}, "global_specs"),
        ({"others": "[" * 20_000}, "others"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(typed: dict[str, str], field: str) -> None:
    with pytest.raises(FormError) as failure:
        request_of({**DEFAULTS, **typed})
    assert field in failure.value.errors


@pytest.mark.parametrize("typed", ["0.5", "much", "1e3"])
def test_numbers_are_asked_for_in_words(typed: str) -> None:
    with pytest.raises(FormError) as failure:
        request_of({**DEFAULTS, "data_size_MB": typed})
    assert failure.value.errors == {"data_size_MB": "Write a whole number."}


def test_a_schedule_is_asked_for_by_its_times_or_its_name() -> None:
    assert not recurs(DEFAULTS)
    assert recurs({**DEFAULTS, "cron": "@daily"})
    with pytest.raises(FormError) as failure:
        schedule_of({**DEFAULTS, "schedule_name": "nightly"})
    assert list(failure.value.errors) == ["cron"]
    recurring = schedule_of({**DEFAULTS, "schedule_name": "nightly", "cron": "@daily"})
    assert recurring.submission == request_of(DEFAULTS)


def test_words_stay_words() -> None:
    body = body_of({"algorithm_args": "007 1e3 1.50 -4 0.5 nan"})
    assert body["global_specs"]["algorithm_args"] == ["007", "1e3", "1.50", -4, 0.5, "nan"]
    assert set(DEFAULTS) <= set(FIELDS)


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"schedule_name": ""}, "schedule_name"),
        ({"schedule_name": "a/b"}, "schedule_name"),
        ({"schedule_name": "yearly", "cron": "0 " * 60}, "cron"),
        ({"schedule_name": "yearly", "time_zone": "x" * 101}, "time_zone"),
        ({"schedule_name": "yearly", "max_runtime": "-1"}, "max_runtime"),
    ],
)
def test_a_schedule_is_held_to_what_the_api_holds_it_to(typed: dict[str, str], field: str) -> None:
    with pytest.raises(FormError) as failure:
        schedule_of({**DEFAULTS, "cron": "0 3 1 1 *", **typed})
    assert field in failure.value.errors
    assert schedule_of({**DEFAULTS, "cron": "0 3 1 1 *", "schedule_name": "yearly"}).time_zone == "UTC"
