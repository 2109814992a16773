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
        ("count at <ipython-input-5-0a1b2c3d4e5f>:1", "count at <ipython-input-5->"),
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


@given(st.text(alphabet="ab1$/\\: atx-.0f()?_\n", max_size=60))
def test_what_lasts_lasts(name: str) -> None:
    once = lasting_name(name)
    assert once
    assert lasting_name(once) == once


@pytest.mark.parametrize("part", ["-1", "-1.1", "_a-1", "/a", ":1", "$1", "0a", " at ", "$$Lambda/", "a://"])
def test_names_of_any_length_are_read_at_once(part: str) -> None:
    assert lasting_name(part * (4096 // len(part)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("show at NativeMethodAccessorImpl.java:-2", "show at NativeMethodAccessorImpl.java:0"),
        ("load 2026-11-29", "load 2026-11-30"),
        ("load until 2026-11-29T00:00:00Z", "load until 2026-11-30 12:30"),
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
