"""Reading what a driver wrote."""

from pathlib import Path

import pytest

from submission.driver_log import failure_reason, read_tail, redact


def test_tail(tmp_path: Path) -> None:
    log = tmp_path / "driver.log"
    assert read_tail(log, 3) is None
    log.write_bytes(b"one\ntwo\nthr\xffee\n")
    assert read_tail(log, 2) == "two\nthr\ufffdee\n"
    assert read_tail(log, 99) == "one\ntwo\nthr\ufffdee\n"
    assert read_tail(log, 0) == ""
    assert read_tail(log, 99, most_bytes=4) == "\ufffdee\n"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", ""),
        (
            'INFO x\nTraceback (most recent call last):\n  File "a.py", line 1, in <module>\n'
            "ValueError: no such column\n\nx INFO ShutdownHookManager: bye\n",
            "ValueError: no such column",
        ),
        (
            'Exception in thread "main" org.apache.spark.SparkException: failed\n\tat a\nCaused by: A: one\n'
            "\tat b\nCaused by: B: root\n\tat c\n",
            'Exception in thread "main" org.apache.spark.SparkException: failed; Caused by: B: root',
        ),
        ("2026 INFO a: b\n2026-01-01T00:00:00.000 ERROR Main: broke\n2026-01-01T00:00:00.000 INFO c: d\n",
         "2026-01-01T00:00:00.000 ERROR Main: broke"),
        ("2026-01-01T00:00:00.000 INFO a: b\nplain words\n", "plain words"),
        ("Error: Missing application resource.\n", "Error: Missing application resource."),
    ],
)  # fmt: skip
def test_reason(log: str, reason: str) -> None:
    assert failure_reason(log, {}) == reason


def test_secrets_are_not_repeated() -> None:
    conf = {"spark.hadoop.fs.s3a.secret.key": "abc/def", "spark.app.name": "app"}
    text = "ValueError: abc/def app password=hunter2 https://me:pass@host/x my.token: t0k"
    hidden = redact(text, conf)
    assert hidden == "ValueError: *** app password=*** https://me:***@host/x my.token: ***"


@pytest.mark.parametrize("text", ["token-", "a.", "secret", "a:", "token ="])
def test_long_lines_do_not_take_for_ever(text: str) -> None:
    """A pattern that is tried from every position to every other takes minutes for a hundredth of this."""
    redact(text * 100_000 + "\n", {})
