"""What lasts of Spark's names for stages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evidence.stage_names import lasting_name

UUID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"


@pytest.mark.parametrize(
    ("name", "lasting"),
    [
        ("collectAsMap at KMeans.scala:300", "collectAsMap at KMeans.scala"),
        (f"count at /tmp/spark-{UUID}/app.py:3", "count at app.py"),
        ("count at /tmp/spark-2c1e/my jobs at night/app.py:17", "count at app.py"),
        (r"count at C:\Users\me at work\app.py:12", "count at app.py"),
        ("count at https://files.example/v3/app.py?token=x:12", "count at app.py"),
        (
            "$anonfun$withThreadLocalCaptured$2 at CompletableFuture.java:1768",
            "$anonfun$withThreadLocalCaptured at java",
        ),
        (
            "$anonfun$withThreadLocalCaptured$1 at FutureTask.java:264",
            "$anonfun$withThreadLocalCaptured at java",
        ),
        ("main$$Lambda$1234/0x0000000800c8f840 at App.scala:9", "main$$Lambda at App.scala"),
        ("main$$Lambda/0x00007f1c280c8f84 at App.scala:9", "main$$Lambda at App.scala"),
        ("lambda$main$0 at App.java:20", "lambda$main at App.java"),
        ("WholeStageCodegen (12)", "WholeStageCodegen"),
        ("save at spark-examples_2.13-4.1.4.jar:1", "save at spark-examples.jar"),
        ("read hdfs://nn:8020/data/lib-1.2.jar twice", "read lib.jar twice"),
        (f"load {UUID}", "load"),
        ("count at <ipython-input-5-0a1b2c3d4e5f>:1", "count at <ipython-input>"),
        ("count at <ipython-input-12-abc>:7", "count at <ipython-input>"),
        ("count at <command-123>:4", "count at <command>"),
        ("collect at /tmp/ipykernel_4711/1234567.py:3", "collect at <cell>"),
        ("$line12.$read$$iw at <console>:3", "$line.$read$$iw at <console>"),
        ("$anonfun$main$2$adapted at App.scala:3", "$anonfun$main$adapted at App.scala"),
        ("sum at /opt/lib/py4j-0.10.9.9-src.zip/py4j/java_gateway.py:1322", "sum at java_gateway.py"),
        (f"count at /tmp/spark-{UUID}/userFiles-{UUID}/app.py:3", "count at app.py"),
        ("load /data/events/2026/11/29/", "load events"),
        ("report 1-2-3 of /a/2026/b", "report 1-2-3 of b"),
        ("iteration 12 of 30", "iteration 12 of 30"),
        ("map", "map"),
        (" map \n at   App.scala:1 ", "map at App.scala"),
        ("", "stage"),
        ("0xdeadbeef", "stage"),
    ],
)
def test_what_lasts(name: str, lasting: str) -> None:
    assert lasting_name(name) == lasting


def test_different_work_keeps_different_names() -> None:
    names = ("count at app.py:3", "collect at app.py:3", "count at other.py:3", "save at App.scala:3")
    assert len({lasting_name(name) for name in names}) == len(names)


@given(st.text(alphabet="ab1$/\\: atx-.0f()?_\n2<>=dthour", max_size=60))
def test_what_lasts_lasts(name: str) -> None:
    once = lasting_name(name)
    assert once
    assert lasting_name(once) == once


PARTS = [
    "-1",
    "-1.1",
    "_a-1",
    "/a",
    ":1",
    "$1",
    "0a",
    "$$Lambda/",
    "a://",
    "<cell-",
    "/2026/1",
    "app-1",
    "1:1:1",
    "dt=1-",
]


@pytest.mark.parametrize("part", PARTS)
def test_names_of_any_length_are_read_at_once(part: str) -> None:
    assert lasting_name(part * (4096 // len(part)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("show at NativeMethodAccessorImpl.java:-2", "show at NativeMethodAccessorImpl.java:0"),
        ("load 2026-11-29", "load 2026-11-30"),
        ("load until 2026-11-29T00:00:00Z", "load until 2026-11-30 12:30"),
        ("load until 2026-11-29T00:00:00+01:00", "load until 2026-11-30T00:00:00.123-0500"),
        ("load 20261129_0230", "load 20261130T023000Z"),
        ("load at 02:30:00", "load at 14:05:59.5"),
        ("load /data/2026/11/29/part", "load /data/2026/12/01/part"),
        ("load dt=2026-11-29/hour=02", "load dt=2026-11-30/hour=14"),
        ("drop tmp_1b4e28ba_2fa1_11d2_883f_0016d3cca427", "drop tmp_2b4e28ba_2fa1_11d2_883f_0016d3cca427"),
        ("save application_1732878000123_0042", "save application_1732878000124_0043"),
        ("save app-20261129023000-0007", "save app-20261130023000-0001"),
        ("count at job_20261129.py:3", "count at job_20261130.py:4"),
        (
            "Listing leaf files and directories for 100 paths:",
            "Listing leaf files and directories for 7 paths:",
        ),
        ("start at A.scala:3\nbatch = 7", "start at A.scala:3\nbatch = 12"),
    ],
)
def test_what_each_run_has_anew_is_left_out(one: str, other: str) -> None:
    assert lasting_name(one) == lasting_name(other) == lasting_name(lasting_name(one))


def test_numbers_that_tell_stages_of_a_run_apart_stay() -> None:
    names = ["step 1", "step 2", "batch 2 of 3", "table 2026", "version 1-2-3"]
    assert len({lasting_name(name) for name in names}) == len(names)
