"""Event logs of a real Spark, whole, cut anywhere, and with what vendors add."""

import json
import shutil
from pathlib import Path

import pytest

from training.event_logs.compression import UnreadableLog
from training.event_logs.files import FilesAway, HadoopFiles, files_of
from training.event_logs.logs import LogFiles, logs_below
from training.event_logs.pieces import pieces_of
from training.event_logs.recorded import RecordedAttempt, read_log
from training.event_logs.specs import Said

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


def only_log(path: Path) -> LogFiles:
    [log] = logs_below(files_of(str(path)), str(path))
    return log


def read(path: Path) -> RecordedAttempt:
    return read_log(files_of(str(path)), only_log(path))


@pytest.mark.parametrize("codec", ["none", "zstd", "lz4", "snappy", "rolled"])
def test_every_codec_is_read_whole(spark_logs: Path, codec: str) -> None:
    attempt = read(spark_logs / codec)
    assert attempt.why_incomplete == ""
    assert attempt.start is not None
    assert attempt.start["application_signature"] == f"log of {codec}"
    assert attempt.ended_at is not None
    assert attempt.damaged_lines == 0
    jobs = list(attempt.job_updates())
    assert [job["job_id"] for job in jobs[:3]] == [0, 1, 2]
    assert {job["job_result"] for job in jobs} == {"JobSucceeded"}
    assert [stage["rdd_mem_size"] for stage in jobs[0]["stages"].values() if stage] == [None, None]
    assert jobs[0]["stages"]["0"]["metrics"]["cpu_utilization"] > 0
    assert attempt.skipped["SparkListenerTaskEnd"] >= 12


def test_a_rolled_log_is_read_in_the_order_of_its_numbers(spark_logs: Path, tmp_path: Path) -> None:
    log = only_log(spark_logs / "rolled")
    assert len(log.parts) > 1
    copy = tmp_path / "logs"
    shutil.copytree(spark_logs / "rolled", copy)
    [first] = copy.rglob("events_1_*")
    first.rename(first.with_name(first.name.replace("events_1_", "events_1_") + ".compact"))
    assert "compacted" in read(copy).why_incomplete
    first.with_name(first.name + ".compact").unlink()
    assert "its part 1 is missing" in only_log(copy).missing


def test_what_cannot_be_decompressed_is_refused_by_name(spark_logs: Path) -> None:
    with pytest.raises(UnreadableLog, match="LZF"):
        read(spark_logs / "lzf")


@pytest.mark.parametrize("codec", ["none", "zstd", "lz4", "snappy"])
def test_a_log_that_is_cut_says_so_wherever_it_is(spark_logs: Path, codec: str, tmp_path: Path) -> None:
    [path] = [each for each in (spark_logs / codec).iterdir() if not each.name.startswith(".")]
    content = path.read_bytes()
    target = tmp_path / path.name
    seen = set()
    for tenth in range(1, 20):
        target.write_bytes(content[: len(content) * tenth // 20])
        attempt = read(target)
        assert attempt.why_incomplete
        seen.add(attempt.jobs)
        if attempt.start is not None:
            [*_, last] = pieces_of(attempt, Said())
            assert last["ended"]["outcome"] == "UNKNOWN"
        attempt.close()
    assert min(seen) == 0


def test_what_vendors_add_is_counted_and_costs_nothing(spark_logs: Path, tmp_path: Path) -> None:
    [path] = [each for each in (spark_logs / "none").iterdir() if not each.name.startswith(".")]
    lines = path.read_text().splitlines()
    added = {"Event": "com.vendor.SomethingElse", "x": 1}
    odd = {"Event": "SparkListenerExecutorAdded", "no": "timestamp"}
    changed = tmp_path / "application_1_0001"
    middle = [json.dumps(added), json.dumps(odd), "no JSON"]
    changed.write_text("\n".join([*lines[:-1], *middle, lines[-1]]))
    attempt = read(changed)
    assert attempt.skipped["com.vendor.SomethingElse"] == 1
    assert (attempt.jobs, attempt.damaged_lines) == (3, 2)
    assert attempt.why_incomplete == "2 of its lines cannot be read"


def test_sparks_own_client_reads_what_is_elsewhere(spark_logs: Path) -> None:
    files = HadoopFiles()
    path = (spark_logs / "zstd").as_uri()
    [log] = logs_below(files, path)
    assert read_log(files, log).jobs == 3
    with pytest.raises(FilesAway, match="nowhere"):
        list(logs_below(files, path + "/nowhere"))
