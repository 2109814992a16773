"""Event logs as no Spark leaves them, but disks, networks and people do."""

import gzip
import json
import shutil
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
from training.event_logs.specs import Mapping, Said

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
