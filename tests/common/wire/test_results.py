"""What listeners call the end of a job."""

import pytest

from common.wire.results import job_succeeded


@pytest.mark.parametrize(
    ("said", "succeeded"),
    [
        ("JobSucceeded", True),
        ("SUCCEEDED", True),
        ("success", True),
        ("JobFailed", False),
        ("JobFailed(org.apache.spark.SparkException: Job aborted)", False),
        ("Job 3 cancelled because SparkContext was shut down", False),
        ("{}", None),
        ("", None),
        (None, None),
    ],
)
def test_what_is_said_of_a_job(said: str | None, succeeded: bool | None) -> None:
    assert job_succeeded(said) is succeeded
