"""Event logs as no Spark leaves them, but disks, networks and people do."""

import gzip
import json
import shutil
import tracemalloc
from collections.abc import Mapping as Mapped
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

from app.cli.commands.import_logs import _rows
from training.event_logs.files import FilesAway, files_of
from training.event_logs.logs import logs_below
from training.event_logs.pieces import pieces_of
from training.event_logs.recorded import read_log
from training.event_logs.specs import Mapping, Said, algorithm_name

Json = dict[str, Any]

T = 1_795_928_708_000


def event(name: str, **fields: Any) -> Json:
    return {"Event": f"SparkListener{name}", **fields}


def job(job_id: int, **stage: Any) -> list[Json]:
    """A job of a stage, from its start to its end."""
    start, end = T + 5000 * job_id, T + 5000 * job_id + 4000
    info = {
        "Stage ID": job_id,
        "Stage Attempt ID": 0,
        "Stage Name": "count at a.py:1",
        "Number of Tasks": 4,
        "Parent IDs": [],
        "Submission Time": start,
        "Completion Time": end,
        "Accumulables": [],
        "RDD Info": [],
        **stage,
    }
    began = {"Job ID": job_id, "Submission Time": start, "Stage Infos": [info], "Stage IDs": [job_id]}
    ended = {"Job ID": job_id, "Completion Time": end, "Job Result": {"Result": "JobSucceeded"}}
    return [
        event("JobStart", **began),
        event("StageSubmitted", **{"Stage Info": {**info, "Completion Time": None}}),
        event("StageCompleted", **{"Stage Info": info}),
        event("JobEnd", **ended),
    ]


def log(*jobs: list[Json]) -> list[bytes]:
    """Lines of a whole log."""
    properties = {"spark.master": "local[2]", "spark.executor.memory": "1g"}
    events = [
        event("LogStart", **{"Spark Version": "4.1.4"}),
        event("EnvironmentUpdate", **{"Spark Properties": properties}),
        event("ApplicationStart", **{"App Name": "A", "App ID": "app-1", "Timestamp": T}),
        event("ExecutorAdded", **{"Timestamp": T, "Executor ID": "1", "Executor Info": {"Total Cores": 2}}),
        *(each for several in jobs for each in several),
        event("ApplicationEnd", Timestamp=T + 60_000),
    ]
    return [json.dumps(each).encode() + b"\n" for each in events]


LINES = log(job(0), job(1))
WHOLE = b"".join(LINES)


def told(folder: Path, files: Mapped[str, bytes]) -> tuple[str, str, int]:
    """How the only log in a folder ended, why, and how many jobs it has."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    [found] = logs_below(files_of(str(folder)), str(folder))
    attempt = read_log(files_of(str(folder)), found)
    [*_, last] = pieces_of(attempt, Said())
    jobs = attempt.jobs
    attempt.close()
    assert last["ended"].get("ended_jobs") in (None, jobs)
    return last["ended"]["outcome"], last["ended"]["reason"], jobs


PACKED = gzip.compress(WHOLE, mtime=0)


@pytest.mark.parametrize(
    "content",
    [
        WHOLE,
        PACKED,
        gzip.compress(WHOLE[:700]) + gzip.compress(WHOLE[700:]),
        PACKED + bytes(512),
        WHOLE.replace(b"\n", b"\r\n"),
        WHOLE.replace(b"\n", b"\n\n"),
    ],
    ids=["plain", "gzip", "two members", "filled up", "line ends of Windows", "blank lines"],
)
def test_whole_ones(tmp_path: Path, content: bytes) -> None:
    assert told(tmp_path, {"app-1": content}) == ("COMPLETED", "By its event log.", 2)


@pytest.mark.parametrize("left_out", [4, 8, 20, len(PACKED) // 4])
def test_what_came_before_a_cut_in_gzip_is_kept(tmp_path: Path, left_out: int) -> None:
    outcome, reason, jobs = told(tmp_path, {"app-1.gz": PACKED[:-left_out]})
    assert outcome == "UNKNOWN"
    assert "it is cut: it ends in the middle" in reason
    assert jobs == (2 if left_out <= 20 else jobs)


@pytest.mark.parametrize("behind", [b"garbage", PACKED[:5]])
def test_what_is_no_gzip_behind_it_makes_it_incomplete(tmp_path: Path, behind: bytes) -> None:
    outcome, _, jobs = told(tmp_path, {"app-1.gz": PACKED + behind})
    assert (outcome, jobs) == ("UNKNOWN", 2)


@pytest.mark.parametrize(
    ("parts", "outcome", "reason"),
    [
        ({1: LINES[:6], 2: LINES[6:]}, "COMPLETED", "By its event log."),
        ({number: [line] for number, line in enumerate(LINES, start=1)}, "COMPLETED", "By its event log."),
        ({0: LINES}, "COMPLETED", "By its event log."),
        ({1: LINES[:6], 3: LINES[8:]}, "UNKNOWN", "its part 2 is missing"),
        ({1: LINES[:8]}, "UNKNOWN", "no SparkListenerApplicationEnd"),
    ],
    ids=["two", "many", "counted from 0", "one is missing", "the last is missing"],
)
def test_parts(tmp_path: Path, parts: dict[int, list[bytes]], outcome: str, reason: str) -> None:
    files = {f"eventlog_v2_app-1/events_{number}_app-1": b"".join(part) for number, part in parts.items()}
    found = told(tmp_path, files)
    assert found[0] == outcome
    assert reason in found[1]


def test_an_end_without_its_start_is_a_job_that_is_missing(tmp_path: Path) -> None:
    outcome, reason, jobs = told(tmp_path, {"app-1": b"".join(log(job(0)[1:], job(1)))})
    assert (outcome, jobs) == ("UNKNOWN", 1)
    assert "of 1 of its jobs it has no SparkListenerJobStart" in reason


@pytest.mark.parametrize(
    "stage",
    [
        {"Stage Name": None},
        {"Stage Name": 7},
        {"Stage Name": "x" * 10_000},
        {"Parent IDs": list(range(1300))},
        {"Parent IDs": None},
        {"Number of Tasks": 0},
        {"Accumulables": None},
    ],
    ids=str,
)
def test_odd_stages_cost_no_job(tmp_path: Path, stage: Json) -> None:
    assert told(tmp_path, {"app-1": b"".join(log(job(0, **stage)))}) == ("COMPLETED", "By its event log.", 1)


def test_a_link_that_leads_nowhere_costs_no_other_log(tmp_path: Path) -> None:
    (tmp_path / "app-1").write_bytes(WHOLE)
    (tmp_path / "app-0.inprogress").symlink_to(tmp_path / "renamed")
    rows = list(_rows([str(tmp_path)], Mapping(), None, Progress(disable=True)))
    assert [(row["application_id"], row["outcome"], row["jobs"]) for row in rows] == [
        ("app-1", "readable", 2)
    ]


def test_a_folder_that_cannot_be_read_is_told_beside_the_logs(tmp_path: Path) -> None:
    """It was there when its name was read."""
    folder = tmp_path / "logs"
    for name in ("a/app-1", "b/app-2", "c/app-3"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(WHOLE)
    rows = []
    for row in _rows([str(folder)], Mapping(), None, Progress(disable=True)):
        rows.append((row["log"], row["outcome"], row["reason"]))
        shutil.rmtree(folder / "b", ignore_errors=True)
    b = str(folder / "b")
    assert rows == [
        (str(folder / "a/app-1"), "readable", ""),
        (b, "skipped", f"{b}: No such file or directory"),
        (str(folder / "c/app-3"), "readable", ""),
    ]
    with pytest.raises(FilesAway):  # which somebody has named
        list(logs_below(files_of(b), b))


@pytest.mark.parametrize(
    ("said", "start"),
    [
        ({"spark.executor.instances": "3"}, 3),
        ({"spark.dynamicAllocation.initialExecutors": "3"}, None),
        ({"spark.dynamicAllocation.enabled": "true", "spark.dynamicAllocation.initialExecutors": "2"}, 2),
        ({"spark.dynamicAllocation.enabled": "true", "spark.dynamicAllocation.minExecutors": "2"}, 2),
        (
            {
                "spark.dynamicAllocation.enabled": "true",
                "spark.dynamicAllocation.initialExecutors": "2",
                "spark.dynamicAllocation.maxExecutors": "2",
                "spark.executor.instances": "3",
            },
            3,
        ),
        ({"spark.dynamicAllocation.enabled": "true"}, None),
    ],
)
def test_the_most_of_what_a_start_is_said_to_be(
    tmp_path: Path, said: dict[str, str], start: int | None
) -> None:
    local = b'"spark.master": "local[2]"'
    content = WHOLE.replace(local, json.dumps({"spark.master": "a", **said}).encode()[1:-1])
    assert content != WHOLE
    (tmp_path / "app-1").write_bytes(content)
    [found] = logs_below(files_of(str(tmp_path)), str(tmp_path))
    attempt = read_log(files_of(str(tmp_path)), found)
    [*_, last] = pieces_of(attempt, Said())
    attempt.close()
    assert last["started"].get("start_scale_out") == start


OTHER = WHOLE.replace(b"app-1", b"app-2")
THIRD = WHOLE.replace(b"app-1", b"app-3")


def found_below(folder: Path, files: Mapped[str, bytes]) -> dict[str, tuple[str, int]]:
    """Logs below a folder by what their rows are called: outcome and jobs."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    rows = list(_rows([str(folder)], Mapping(), None, Progress(disable=True)))
    return {row["log"].removeprefix(f"{folder}/"): (row["outcome"], row["jobs"]) for row in rows}


def test_parts_of_several_logs_in_one_folder_beside_others(tmp_path: Path) -> None:
    """Two rolling ones that somebody has copied into the same folder, and one in a file of its own."""
    half = len(b"".join(LINES[:6]))
    found = found_below(
        tmp_path,
        {
            "events_1_app-1": WHOLE[:half],
            "events_2_app-1.gz": gzip.compress(WHOLE[half:]),
            "events_1_app-2": OTHER[:half],
            "events_2_app-2": OTHER[half:],
            "app-3": THIRD,
            "appstatus_app-1": b"",
            ".app-3.crc": b"crc",
        },
    )
    assert found == {
        "events_*_app-1": ("readable", 2),
        "events_*_app-2": ("readable", 2),
        "app-3": ("readable", 2),
    }


def test_an_application_may_be_called_compact(tmp_path: Path) -> None:
    files = {"my.compact.app": WHOLE, "app-2.compact": OTHER}
    assert found_below(tmp_path, files) == {
        "my.compact.app": ("readable", 2),
        "app-2.compact": ("incomplete", 2),
    }


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"app-1": b""}, "no SparkListenerApplicationStart"),
        ({"eventlog_v2_app-1/appstatus_app-1.inprogress": b""}, "it has no part yet"),
        ({"eventlog_v2_app-1/events_2_app-1": b"".join(LINES[6:])}, "its part 1 is missing"),
        ({"app-1.zstd": b"\x28\xb5"}, "it is cut"),
        ({"app-1.lz4": b"LZ4Blo"}, "it is cut"),
        ({"app-1.snappy": b"\x82SNAP"}, "it is cut"),
        ({"app-1.gz": PACKED[:1]}, "it is cut"),
        ({"app-1.gz": PACKED[:12]}, "it is cut"),
    ],
    ids=["empty", "no part", "first part missing", "zstd", "lz4", "snappy", "gzip", "gzip's header"],
)
def test_of_what_has_no_beginning_it_is_said_why(tmp_path: Path, files: Mapped[str, bytes], why: str) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    [row] = list(_rows([str(tmp_path)], Mapping(), None, Progress(disable=True)))
    assert (row["outcome"], row["jobs"]) == ("skipped", 0)
    assert why in row["reason"]


def test_a_log_that_is_there_twice_is_read_as_often(tmp_path: Path) -> None:
    assert found_below(tmp_path, {"app-1": WHOLE, "app-1.gz": PACKED}) == {
        "app-1": ("readable", 2),
        "app-1.gz": ("readable", 2),
    }


@pytest.mark.parametrize("cut", range(0, len(WHOLE) - 1, 97))
def test_a_plain_log_that_is_cut_anywhere_is_never_whole(tmp_path: Path, cut: int) -> None:
    (tmp_path / "app-1").write_bytes(WHOLE[:cut])
    [row] = list(_rows([str(tmp_path)], Mapping(), None, Progress(disable=True)))
    assert row["outcome"] in ("skipped", "incomplete")
    assert row["reason"]


def test_what_a_disk_leaves_behind_the_end_is_nothing(tmp_path: Path) -> None:
    assert told(tmp_path, {"app-1": WHOLE + bytes(4096)}) == ("COMPLETED", "By its event log.", 2)


@pytest.mark.parametrize(
    "left_out", ["Stage Infos", "Stage Attempt ID", "Stage Name", "Parent IDs", "Accumulables", "RDD Info"]
)
def test_fields_that_are_left_out_cost_no_job(tmp_path: Path, left_out: str) -> None:
    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: without(each) for name, each in value.items() if name != left_out}
        return [without(each) for each in value] if isinstance(value, list) else value

    lines = [json.dumps(without(json.loads(line))).encode() for line in LINES]
    assert told(tmp_path, {"app-1": b"\n".join(lines)}) == ("COMPLETED", "By its event log.", 2)


def test_lines_that_nobody_wants_are_kept_by_nobody(tmp_path: Path) -> None:
    """Plans of queries may be of any length; a wanted line of such a length is one that cannot be read."""
    plan = b'{"Event":"org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart","plan":"'
    job_line = b'{"Event":"SparkListenerJobStart","x":"'
    for name, start, outcome in (("app-1", plan, "COMPLETED"), ("app-2", job_line, "UNKNOWN")):
        path = tmp_path / name / "log"
        path.parent.mkdir()
        with path.open("wb") as file:
            file.writelines(LINES[:6])
            file.write(start)
            for _ in range(160):
                file.write(b"x" * (1 << 20))
            file.write(b'"}\n')
            file.writelines(LINES[6:])
        [found] = logs_below(files_of(str(path)), str(path))
        tracemalloc.start()
        attempt = read_log(files_of(str(path)), found)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        [*_, last] = pieces_of(attempt, Said())
        assert (last["ended"]["outcome"], attempt.jobs) == (outcome, 2)
        assert peak < 80 << 20
        attempt.close()
        path.unlink()


def test_names_in_other_letters_are_told_apart() -> None:
    names = ["日次集計", "月次集計", "日次 ETL", "月次 ETL", "x" * 300 + "a", "x" * 300 + "b"]
    found = [algorithm_name(name) for name in names]
    assert len(set(found)) == len(names)
    assert found[2].startswith("ETL-")
    assert all(len(name) <= 256 for name in found)
    assert found == [algorithm_name(name) for name in names]
    assert [algorithm_name(name) for name in ("nightly/etl v2", "--", "")] == [
        "nightly_etl v2",
        "application",
        "application",
    ]
