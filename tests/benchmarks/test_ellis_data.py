from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ellis_data import (
    HEADER,
    NoRecording,
    complete_runs,
    is_failure_run,
    job_gaps,
    load_all,
    load_runs,
    recordings,
    typical_minutes,
    usual_jobs,
)
from training.history.values import RunRecord

LINES = """\
2|Sums|2021-07-05 06:00:10.500|2021-07-05 06:00:20|2|0|2021-07-05 06:00:11|2021-07-05 06:00:14|3000|8
1|Sums|2021-07-05 05:00:00|2021-07-05 05:00:09.250|1|1|2021-07-05 05:00:03.5|2021-07-05 05:00:09|5500|6
1|Sums|2021-07-05 05:00:00|2021-07-05 05:00:09.250|1|0|2021-07-05 05:00:00|2021-07-05 05:00:03|3000|4
41|Sums|2021-07-06 05:00:00|2021-07-06 05:00:04|1|0|2021-07-06 05:00:00|2021-07-06 05:00:04|4000|4
"""


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "sums.csv"
    path.write_text(HEADER + "\n" + LINES)
    return path


def test_runs_and_their_jobs_in_order_with_seconds_since_the_start(recording: Path) -> None:
    first, second, _ = load_runs(recording)["Sums"]
    assert [job.job_id for job in first.jobs] == [0, 1]
    assert [job.end_scale_out for job in first.jobs] == [4, 6]
    assert first.runtime_seconds == 9.25
    assert first.jobs[1].start_seconds == 3.5
    assert first.jobs[1].runtime_seconds == 5.5
    assert second.jobs[0].start_seconds == 0.5
    assert first.context == second.context
    assert first.started_at < second.started_at


def test_gaps_between_jobs_and_after_the_last(recording: Path) -> None:
    np.testing.assert_allclose(job_gaps(load_runs(recording)["Sums"][0]), [0.0, 0.5, 0.25])


def test_failure_runs_go_by_their_number(recording: Path) -> None:
    assert [is_failure_run(run) for run in load_runs(recording)["Sums"]] == [False, False, True]


def test_the_usual_number_of_jobs(recording: Path) -> None:
    runs = load_runs(recording)["Sums"]
    assert usual_jobs(runs) == 1
    assert usual_jobs(runs[:2]) == 2
    assert [len(run.jobs) for run in complete_runs(runs)] == [2, 1, 1]
    assert [len(run.jobs) for run in complete_runs(runs[:2])] == [2]


def test_a_folder_or_named_files(recording: Path) -> None:
    (recording.parent / "notes.txt").write_text("")
    assert recordings(recording.parent) == [recording]
    assert list(load_all(recordings(recording.parent, ["sums.csv"]))) == ["Sums"]


def test_the_folder_of_all_recordings_and_files_elsewhere(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "all" / "ellis").mkdir(parents=True)
    inside = recording.rename(tmp_path / "all" / "ellis" / "sums.csv")
    elsewhere = tmp_path / "kept.csv"
    elsewhere.write_text(inside.read_text().replace("Sums", "Kept"))
    assert recordings(tmp_path / "all") == [inside]
    assert list(load_all(recordings(tmp_path / "all", ["sums", str(elsewhere)]))) == ["Sums", "Kept"]
    with pytest.raises(NoRecording, match="nothing"):
        recordings(tmp_path / "all", ["sums", "nothing"])


def test_a_target_that_three_in_four_normal_runs_keep(recording: Path) -> None:
    runs = [replace(run, runtime_seconds=60.0 * number) for number, run in enumerate(sums(recording), 1)]
    assert typical_minutes(runs[1:]) == 2.0  # the last one was disturbed, the first has more jobs than usual
    assert typical_minutes(runs[2:]) == 3.0


def sums(recording: Path) -> list[RunRecord]:
    return load_runs(recording)["Sums"]


@pytest.mark.parametrize("text", ["", "ID|APP\n1|2\n", HEADER + "\n1|Sums|now\n", HEADER + "\nx|Sums|a|b\n"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(NoRecording):
        load_runs(path)


def test_an_application_in_two_files_is_refused(recording: Path) -> None:
    with pytest.raises(NoRecording):
        load_all([recording, recording])


def test_no_files() -> None:
    with pytest.raises(NoRecording):
        load_all([])
