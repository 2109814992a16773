"""How well the runtime of an application is predicted before it runs, and the scale-out chosen.

    python benchmarks/initial_prediction.py --data DIR [--jobs FILE ...] [--seeds 5] [--points 0 2]
        [--confidence 0.8] [--quick] [--processes 2] --output DIR

The data folder holds recorded runs, `c3o/*.tsv`, `bell/*.csv` and `dataproc/*.csv`. For each context n
random scale-outs of it are known (one run each), and all runs of every other context of that job; the
medians at its other scale-outs are predicted. With a machine type left out, no other context of that
type is known. Bell's runs have no context: n random scale-outs are all that is known. With one data size
known, all runs of the smallest are and the largest is asked for, or the other way round; of the size asked
for, n runs are known, in whatever contexts. Every method sees the same runs. `the service` is what
`POST /prediction/initial_scale_out` answers from them, of the first seed.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import as_completed
from itertools import groupby, product
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.initial_baselines import (  # noqa: E402
    Predictor,
    Task,
    bell,
    by_size,
    ernest,
    median_of_known,
    with_context,
)
from benchmarks.initial_protocol import (  # noqa: E402
    ABLATIONS,
    coverage,
    error,
    ours,
    select,
    size_tasks,
    sizes_of,
    tasks,
)
from benchmarks.initial_report import MEDIAN, SERVICE, SIZE_PARTS, write_report  # noqa: E402
from benchmarks.initial_requests import answered, answered_within, medians  # noqa: E402
from benchmarks.parallel import process_pool  # noqa: E402
from benchmarks.recorded_runs import DataMissing, RecordedJob, Recordings, load_folder  # noqa: E402
from benchmarks.reporting import open_console  # noqa: E402
from training.context_model.model import fit_context_model  # noqa: E402
from training.context_model.questions import EarlierRun, Query  # noqa: E402

SELECTION_POINTS = 2
SELECTIONS = {"selection": False, "selection by rank": True}
"""Whether targets are quantiles of the recorded medians."""
OTHER_CONFIDENCES = (0.6, 0.7, 0.8, 0.9, 0.95)
BELL_SEEDS = 20
"""Draws of known scale-outs per seed: there is one context only."""
SIZE_POINTS, SIZE_DRAWS = (0, 1, 2, 3), 4
"""Known runs of the size asked for, and draws of them per seed."""

console = open_console()
Row = dict[str, Any]


def own_predictions(task: Task, about: Row, confidence: float, ablations: bool) -> list[Row]:
    """Rows of the model under test, of its variants, and of what they choose."""
    predicted = ours(task)
    rows = [
        {
            **about,
            "method": "ours",
            "error": error(task, np.exp(predicted.log_mean)),
            "coverage": coverage(task, predicted),
        }
    ]
    if about["points"] == SELECTION_POINTS and about["part"] == "contexts":
        wanted = {"ours": confidence} | {f"ours, confidence {c:.0%}": c for c in OTHER_CONFIDENCES}
        for part, by_rank in SELECTIONS.items():
            for name, sure in wanted.items():
                chosen = select(task, predicted.log_mean, predicted.log_std, sure, by_rank)
                rows.append({**about, "part": part, "method": name, **chosen})
            chosen = select(task, predicted.log_mean, None, 0.5, by_rank)
            rows.append({**about, "part": part, "method": "ours without uncertainty", **chosen})
    if about["seed"] == 0:
        service = answered(task)
        rows.append(
            {
                **about,
                "method": SERVICE,
                "error": error(task, medians(service)),
                "coverage": answered_within(task, service),
            }
        )
    if not ablations:
        return rows
    for name, assumptions in ABLATIONS.items():
        variant = ours(task, assumptions)
        rows.append({**about, "method": name, "error": error(task, np.exp(variant.log_mean))})
    if task.own:
        variant = ours(task, context=False)
        rows.append(
            {**about, "method": "ours without context", "error": error(task, np.exp(variant.log_mean))}
        )
    return rows


def measure(
    task: Task, about: Row, methods: Mapping[str, Predictor], confidence: float, ablations: bool
) -> list[Row]:
    rows = own_predictions(task, about, confidence, ablations)
    for name, method in methods.items():
        if name in ("Ernest", "Bell") and not task.own and about["part"] not in SIZE_PARTS:
            continue
        seconds = method(task)
        if np.isnan(seconds[task.asked]).all():
            continue
        rows.append({**about, "method": name, "error": error(task, seconds)})
        if about["points"] == SELECTION_POINTS and about["part"] == "contexts":
            log_mean = np.log(np.maximum(seconds, 1e-3))
            for part, by_rank in SELECTIONS.items():
                chosen = select(task, log_mean, None, 0.5, by_rank)
                rows.append({**about, "part": part, "method": name, **chosen})
    return rows


Planned = tuple[Task, Row]
"""What is to be predicted, and what it belongs to."""


def group_of(planned: Planned) -> str:
    about = planned[1]
    return f"{about['part']}: {about['job']}, n={about['points']}, seed {about['seed']}"


def measure_group(group: Sequence[Planned], confidence: float, quick: bool) -> list[Row]:
    """All of a job with as many points and one seed, in a process of its own."""
    methods = dict(with_context())
    if quick:
        del methods["random forest"], methods["plain GP"]
    by_part: dict[str, Mapping[str, Predictor]] = {
        "contexts": methods,
        "unseen machine": {name: methods[name] for name in ("boosting", "log boosting")},
        "bell": {"Ernest": ernest, "Bell": bell, MEDIAN: median_of_known},
        **dict.fromkeys(SIZE_PARTS, by_size()),
        "Dataproc": {name: methods[name] for name in ("boosting", "log boosting")},
        "Dataproc, unseen machine": {name: methods[name] for name in ("boosting", "log boosting")},
    }
    rows: list[Row] = []
    for task, about in group:
        ablations = (
            about["part"] in ("contexts", "unseen machine")
            and about["seed"] == 0
            and about["points"] in (0, 2, 3)
        )
        rows += measure(task, about, by_part[about["part"]], confidence, ablations)
    return rows


def plan(recordings: Recordings, arguments: argparse.Namespace) -> list[Planned]:
    """Everything that is to be predicted, group by group."""
    planned: list[Planned] = []

    def add(part: str, job: RecordedJob, points: int, seed: int, found: Iterable[Task]) -> None:
        for task in found:
            machine = dict(task.context).get(job.machine or "", "")
            about: Row = {"part": part, "job": job.name, "machine": machine, "points": points, "seed": seed}
            if part in SIZE_PARTS:
                about["way"] = "larger" if _is_larger(task) else "smaller"
            planned.append((task, about))

    def drawn(points: Sequence[int], seed: int) -> list[int]:
        """Without known runs nothing is random: once is enough."""
        return [number for number in points if number or not seed]

    for seed in range(arguments.seeds):
        for job in recordings.c3o:
            for points in drawn(arguments.points, seed):
                add("contexts", job, points, seed, tasks(job, points, seed))
            if _has_machines(job):
                for points in drawn((0, 3), seed):
                    add("unseen machine", job, points, seed, tasks(job, points, seed, leave_out_machine=True))
        for job in recordings.bell:
            for points in (2, 4, 6):
                for draw in range(4 if arguments.quick else BELL_SEEDS):
                    number = seed * BELL_SEEDS + draw
                    add("bell", job, points, number, tasks(job, points, number))
        for job in recordings.dataproc:
            for points in drawn((0, 1), seed):
                add("Dataproc", job, points, seed, tasks(job, points, seed))
            if _has_machines(job) and not seed:
                add("Dataproc, unseen machine", job, 0, 0, tasks(job, 0, 0, leave_out_machine=True))
        draws = range(seed * SIZE_DRAWS, (seed + 1) * SIZE_DRAWS)
        for part, jobs in zip(SIZE_PARTS, (recordings.dataproc, recordings.c3o), strict=True):
            for job, points in product(jobs, SIZE_POINTS):
                for draw, sizes in product(draws if points else draws[:1], both_ways(job)):
                    if points or not seed:
                        add(part, job, points, draw, size_tasks(job, *sizes, points, draw))
    return [(task, about) for task, about in planned if task.other or task.own]


def both_ways(job: RecordedJob) -> list[tuple[float, float]]:
    """The known and the asked data size, small to large and large to small; none where there is one."""
    sizes = sizes_of(job)
    return [sizes, sizes[::-1]] if sizes else []


def _is_larger(task: Task) -> bool:
    """Whether the data size asked for is the larger of both."""
    smallest, largest = sizes_of(task.job) or (0.0, 0.0)
    return float(dict(task.context)[task.job.sizes[0]]) == largest > smallest


def _has_machines(job: RecordedJob) -> bool:
    return bool(job.machine) and len({dict(context).get(job.machine or "") for context in job.contexts}) > 1


def latency(job: RecordedJob) -> list[Row]:
    """Seconds to fit and to predict, for 60 runs and for all of this job."""
    rows = []
    for number in (60, len(job.runs)):
        chosen = [job.runs[i] for i in np.linspace(0, len(job.runs) - 1, number).astype(int)]
        runs = [EarlierRun(dict(run.context), run.scale_out, run.runtime_seconds) for run in chosen]
        queries = [Query(runs[0].context, x) for x in range(2, 37)]
        taken = []
        for _ in range(3):
            begun = time.perf_counter()
            fit_context_model(runs, resources=job.resources, sizes=job.sizes, memory=job.memory).predict(
                queries
            )
            taken.append(time.perf_counter() - begun)
        rows.append({"part": "latency", "job": job.name, "runs": number, "seconds": float(np.median(taken))})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of recorded runs")
    parser.add_argument("--jobs", nargs="*", default=[], help="files to use, by name; all by default")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--points", type=int, nargs="*", default=[0, 1, 2, 3, 5], help="n, for contexts")
    parser.add_argument("--confidence", type=float, default=0.8, help="of the chosen scale-outs")
    parser.add_argument("--quick", action="store_true", help="one seed, n of 0 and 2 only, fewer baselines")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="groups at once")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.points = 1, [0, 2]
    try:
        recordings = load_folder(arguments.data, arguments.jobs)
    except DataMissing as reason:
        console.print(f"No data: {reason}", style="red")
        return 2
    groups = [list(group) for _, group in groupby(plan(recordings, arguments), group_of)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with process_pool(arguments.processes) as pool, Progress(*columns, console=console) as progress:
        bar = progress.add_task("predicting", total=sum(map(len, groups)))
        asked = {
            pool.submit(measure_group, group, arguments.confidence, arguments.quick): group
            for group in groups
        }
        for done in as_completed(asked):
            done.result()  # an error ends it all here
            name = group_of(asked[done][0])
            progress.update(bar, advance=len(asked[done]), description=name)
            if not console.is_terminal:
                progress.console.print(name, style="dim")
        rows = [row for each in asked for row in each.result()]
    if recordings.c3o:
        rows += latency(max(recordings.c3o, key=lambda job: len(job.runs)))
    write_report(rows, arguments.output, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
