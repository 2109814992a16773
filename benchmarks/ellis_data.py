"""Recorded runs in the format of the Ellis experiments: one line per job, fields separated by `|`.

    ID|APP_ID|STARTED_AT|FINISHED_AT|APP_EVENT_ID|JOB_ID|STARTED_AT|FINISHED_AT|DURATION_MS|SCALE_OUT

The first pair of times is the run's, the second the job's. There are no stages and no metrics; a
run's context is the application's name, and all else about it is taken to be the same.
"""

import argparse
import csv
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from training.history.values import JobRecord, RunContext, RunRecord
from training.statistics.arrays import Floats

PROFILING_RUNS = 10
"""Runs 1 to 10 try scale-outs; what is predicted or steered starts after them."""

FAILURE_RUNS = frozenset((*range(41, 51), *range(61, 66)))
"""Runs during which executors were killed, one every 90 seconds."""

HEADER = "ID|APP_ID|STARTED_AT|FINISHED_AT|APP_EVENT_ID|JOB_ID|STARTED_AT|FINISHED_AT|DURATION_MS|SCALE_OUT"


class NoRecording(ValueError):
    """A file is not in this format."""


def load_runs(path: Path) -> dict[str, list[RunRecord]]:
    """Read one file: per application its runs, in order of their numbers.

    Raises:
        NoRecording: The header or a line is not in this format.
    """
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file, delimiter="|")
        if "|".join(next(lines, [])) != HEADER:
            raise NoRecording(f"{path.name}: the header is not {HEADER}")
        found: dict[tuple[str, int], list[list[str]]] = {}
        for line in lines:
            if not line:
                continue
            try:
                found.setdefault((line[1], int(line[0])), []).append(line)
            except (IndexError, ValueError) as error:
                raise NoRecording(f"{path.name}, line {lines.line_num}: {line}") from error
    runs: dict[str, list[RunRecord]] = {}
    for (app, number), run in sorted(found.items()):
        try:
            runs.setdefault(app, []).append(_run(app, number, run))
        except (IndexError, ValueError) as error:
            raise NoRecording(f"{path.name}, run {number}: {error}") from error
    return runs


def load_all(paths: Iterable[Path]) -> dict[str, list[RunRecord]]:
    """Read several files; an application may be in one of them only.

    Raises:
        NoRecording: A file is not in this format, or repeats an application.
    """
    applications: dict[str, list[RunRecord]] = {}
    for path in paths:
        for app, runs in load_runs(path).items():
            if app in applications:
                raise NoRecording(f"{path.name} repeats {app}")
            applications[app] = runs
    if not applications:
        raise NoRecording("there are no recorded runs")
    return applications


def recordings(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """CSV files of a folder, or of `ellis` inside it.

    Args:
        names: Of files there, with or without their ending, or paths to others; all when empty.
    Raises:
        NoRecording: A file is not there.
    """
    inside = folder / "ellis"
    folder = inside if inside.is_dir() else folder
    if not names:
        return sorted(folder.glob("*.csv"))
    found = []
    for name in names:
        choices = (folder / name, folder / f"{name}.csv", Path(name))
        path = next((path for path in choices if path.is_file()), None)
        if path is None:
            raise NoRecording(f"there is no file {name} in {folder}")
        found.append(path)
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--data` and `--apps`, for `load_asked`."""
    parser.add_argument("--data", type=Path, required=True, help="folder of recorded runs")
    parser.add_argument("--apps", nargs="*", default=[], help="of its files, or paths; by default all")


def load_asked(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> dict[str, list[RunRecord]]:
    """Runs per application; what is wrong with the files is said like a wrong argument."""
    try:
        return load_all(recordings(arguments.data, arguments.apps))
    except NoRecording as error:
        parser.error(str(error))


def typical_minutes(runs: Sequence[RunRecord]) -> float:
    """A target for an application of which none is known: what three in four complete, normal runs keep."""
    normal = [run for run in complete_runs(runs) if not is_failure_run(run)] or list(runs)
    minutes = [(run.runtime_seconds or run.jobs[-1].end_seconds) / 60 for run in normal]
    return round(float(np.quantile(minutes, 0.75)), 1)


def run_number(run: RunRecord) -> int:
    return int(run.run_id)


def is_failure_run(run: RunRecord) -> bool:
    return run_number(run) in FAILURE_RUNS


def job_gaps(run: RunRecord) -> Floats:
    """Seconds before each job in which no earlier one ran, and those after the last one, (J + 1,)."""
    ends = np.maximum.accumulate([0.0, *(job.end_seconds for job in run.jobs)])
    starts = np.array([*(job.start_seconds for job in run.jobs), run.runtime_seconds or ends[-1]])
    return np.asarray(np.maximum(starts - ends, 0.0))


def usual_jobs(runs: Sequence[RunRecord]) -> int:
    """How many jobs runs have: the median (the larger one in the middle)."""
    return sorted(len(run.jobs) for run in runs)[len(runs) // 2]


def complete_runs(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Those with at least as many jobs as usual; fewer is cut short, or ended early."""
    jobs = usual_jobs(runs)
    return [run for run in runs if len(run.jobs) >= jobs]


def _time(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _run(app: str, number: int, lines: Sequence[Sequence[str]]) -> RunRecord:
    started = _time(lines[0][2])
    jobs = []
    for line in lines:
        scale_out = int(line[9])
        begin = max(_time(line[6]) - started, 0.0)
        jobs.append(JobRecord(int(line[5]), begin, int(line[8]) / 1000, scale_out, scale_out, 0.0))
    jobs.sort(key=lambda job: job.job_id)
    return RunRecord(
        str(number), RunContext(app), started, tuple(jobs), max(_time(lines[0][3]) - started, 0.0)
    )
