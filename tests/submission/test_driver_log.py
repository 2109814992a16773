"""Reading what a driver wrote."""

from pathlib import Path

import pytest

from submission.driver_log import failure_reason, read_further, read_start, read_tail, redact
from submission.log_lines import LINE_BYTES, LineSplitter, lines_from, lines_of, told_text


def test_tail(tmp_path: Path) -> None:
    log = tmp_path / "driver.log"
    assert read_tail(log, 3) is None
    log.write_bytes(b"one\ntwo\nthr\xffee\n")
    assert read_tail(log, 2) == "two\nthr\ufffdee\n"
    assert read_tail(log, 99) == "one\ntwo\nthr\ufffdee\n"
    assert read_tail(log, 0) == ""
    assert read_tail(log, 99, most_bytes=4) == "\ufffdee\n"


PY4J = (
    'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\n    rdd.collect()\n'
    "py4j.protocol.Py4JJavaError: An error occurred while calling z:org.apache.spark.api.PythonRDD.x.\n"
)
IN_AN_EXECUTOR = (
    "org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
    '  File "worker.py", line 9, in main\n    process()\nZeroDivisionError: division by zero\n'
)

BANNERS = (
    "WARNING: Using incubator modules: jdk.incubator.vector\n"
    "OpenJDK 64-Bit Server VM warning: Sharing is only supported for boot loader classes\n"
    "Picked up JAVA_TOOL_OPTIONS: -Xss4m\n"
    "Using Spark's default log4j profile: org/apache/spark/log4j2-defaults.properties\n"
    'Setting default log level to "WARN".\n'
    "To adjust logging level use sc.setLogLevel(newLevel).\n"
    "2026-11-30T22:30:58.175 WARN NativeCodeLoader: Unable to load native-hadoop library for your platform\n"
)


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
        # sys.exit(200), and sys.exit("no partition"): what a JVM says at its start is nobody's cause
        (BANNERS, ""),
        # a task of PySpark's fails: Py4J names the call that was made of Java, and nothing of what went wrong
        (f"{PY4J}: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0"
         " failed 4 times, most recent failure: Lost task 0.3 in stage 0.0 (TID 6) (10.0.0.1 executor 0):"
         f" {IN_AN_EXECUTOR}\n\tat org.apache.A.b(A.java:1)\n\nDriver stacktrace:\n\tat a.C.d(C.java:2)\n"
         f"Caused by: {IN_AN_EXECUTOR}\n\t... 1 more\n\n2026-01-01T00:00:00.000 INFO x: bye\n",
         "ZeroDivisionError: division by zero"),
        (f"{PY4J}: java.lang.RuntimeException: lost\n\tat a.B.c(B.java:1)\n"
         "Caused by: java.io.IOException: disk\n",
         "java.lang.RuntimeException: lost; Caused by: java.io.IOException: disk"),
        (f"{BANNERS}no partition\n", "no partition"),
        (f'{BANNERS}  File "/jobs/a.py", line 1\n    def f(:\n          ^\nSyntaxError: invalid syntax\n',
         "SyntaxError: invalid syntax"),
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


LINES = {
    "just as long": b"a" * LINE_BYTES + b"\n",
    "a byte longer": b"a" * (LINE_BYTES + 1) + b"\n",
    "cut in a character": b"a" + "é".encode() * LINE_BYTES + b"\n",
    "5 MiB between others": b"x\n" + b"y" * (5 << 20) + b"\nz\n",
    "5 MiB without an end": b"x\n" + b"y" * (5 << 20),
    "two returns and a line feed": b"a\r\r\nb\n",
    "no UTF-8": b"a\xff\xfeb\n\xed\xa0\x80x\n",
    "a bar": b"10%\r20%\r30%",
    "a bar that has ended": b"10%\r20%\r",
    "nothing": b"",
}


@pytest.mark.parametrize("content", LINES.values(), ids=LINES)
def test_all_readers_are_of_one_opinion(tmp_path: Path, content: bytes) -> None:
    log = tmp_path / "driver.log"
    log.write_bytes(content)
    with log.open("rb") as file:
        numbered = lines_from(file, 0, ended=True)[0].lines
    splitter = LineSplitter()
    assert [*splitter.feed(content), *splitter.end()] == numbered
    found = read_start(log, 1000)
    assert found is not None
    shown, position = found
    splitter = LineSplitter()
    while further := read_further(log, position):
        position += len(further)
        shown += splitter.feed(further)
    assert [*shown, *splitter.end()] == numbered
    assert lines_of(read_tail(log, 1000) or "") == numbered
    assert lines_of(told_text(content.decode(errors="replace"))) == numbered or b"\xff" in content


def test_the_last_lines_are_found_however_long_the_one_before_is(tmp_path: Path) -> None:
    log = tmp_path / "driver.log"
    log.write_bytes(b"x\n" + b"y" * (5 << 20) + b"\na\r\nb\rc\n")
    assert read_tail(log, 3) == "a\r\nb\rc\n"
    cut = f"{'y' * LINE_BYTES} … (cut: the line has 5,242,880 bytes)"
    assert read_tail(log, 4) == f"{cut}\na\r\nb\rc\n"
    assert read_start(log, 5) == (["x", cut, "a", "b", "c"], log.stat().st_size)
