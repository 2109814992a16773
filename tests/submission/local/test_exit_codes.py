"""How spark-submit ended, by its exit code."""

import pytest

from submission.local.application import how_it_ended


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (1, "exit code 1"),
        (143, "exit code 143, as SIGTERM (signal 15) leaves it"),
        (137, "exit code 137, as SIGKILL (signal 9) leaves it"),
        (200, "exit code 200"),
        (162, "exit code 162"),
        (50, "exit code 50, as Spark leaves it after an uncaught exception"),
        (52, "exit code 52, as Spark leaves it after an OutOfMemoryError"),
        (56, "exit code 56"),
        (255, "exit code 255"),
    ],
)
def test_what_no_signal_leaves_is_the_program_s_own(code: int, told: str) -> None:
    assert how_it_ended(code) == told
