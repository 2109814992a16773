"""Arguments of a program: what they are on a command line, and a due time among them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from common.errors import InvalidRequest
from submission.manifest.arguments import arguments_of
from submission.manifest.build import build_manifest
from tests.support.golden import LOCAL
from tests.support.manifests import request_specs

DUE_AT = datetime(2026, 11, 29, 2, 30, tzinfo=timezone(timedelta(hours=1)))


def test_a_due_time_is_put_in() -> None:
    values = ["--at={{ due_at }}", "{{due_at}}/{{  due_at }}", "{{ other }}", 3, True, 0.5]
    told = "2026-11-29T01:30:00+00:00"
    assert arguments_of(values, DUE_AT) == [
        f"--at={told}",
        f"{told}/{told}",
        "{{ other }}",
        "3",
        "true",
        "0.5",
    ]


def test_the_manifest_has_it_and_the_specs_stay() -> None:
    specs = request_specs()
    specs.global_specs.algorithm_args = ["{{ due_at }}"]
    manifest = build_manifest(specs, "e" * 24, 2, LOCAL, due_at=DUE_AT)
    assert manifest["spec"]["arguments"] == ["2026-11-29T01:30:00+00:00"]
    assert specs.global_specs.algorithm_args == ["{{ due_at }}"]


def test_of_no_schedule_it_is_now() -> None:
    specs = request_specs()
    specs.global_specs.algorithm_args = ["{{ due_at }}"]
    [told] = build_manifest(specs, "e" * 24, 2, LOCAL)["spec"]["arguments"]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(told)) < timedelta(minutes=5)


def test_what_a_command_line_cannot_hold_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="NUL"):
        arguments_of(["a\0b"], DUE_AT)
