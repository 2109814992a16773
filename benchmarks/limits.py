"""What nobody could beat: the price of every target in hindsight, and the noise of recorded runs.

    python benchmarks/limits.py --data DIR [--apps FILE ...] [--targets KMeans=14,MPC=9] --output DIR

Frontier: of simulated runs, each with the static scale-out that is best once its luck is known. What a
second over the target is worth in executor-hours varies from nothing to any price, which draws the
curve from the cheapest choices to the fewest and shortest misses. A static choice cannot react, but it
knows the future. Targets that the curve does not reach at some price are out of reach for it.

Noise: the rest of recorded runs without failures, predicted from all other such runs, those that came
later included. What is left is how much runs differ from each other. The last line even knows how much
slower or faster than usual the run as a whole will have been.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.ellis_data import (  # noqa: E402
    FAILURE_RUNS,
    PROFILING_RUNS,
    add_arguments,
    is_failure_run,
    load_asked,
    usual_jobs,
)
from benchmarks.estimators import CurvePerJob, Estimator, SimilarMedian  # noqa: E402
from benchmarks.reporting import Section, show, write  # noqa: E402
from benchmarks.runtime_targets import (  # noqa: E402
    CANDIDATES,
    RUNS,
    executor_hours,
    parse_targets,
    targets_of,
)
from benchmarks.simulator import Application, Conditions, SimulatedRun, calibrate_application  # noqa: E402
from prediction.scale_out_curves import fit_ernest  # noqa: E402
from training.features import Bools, Floats  # noqa: E402
from training.history import RunRecord  # noqa: E402

PRICES = (0.0, 1.0, 3.0, 10.0, 15.0, 20.0, 50.0, 1000.0)
"""Executor-hours that an overrun by the whole target is worth."""

MISS_PRICE = 3.0
"""Executor-hours that a missed target is worth besides."""


def every_choice(
    application: Application, target_seconds: float, seeds: int, advance: Callable[[], None]
) -> tuple[Floats, Floats, Bools]:
    """Executor-hours and relative overrun of every run at every scale-out, (P, X), and which are normal."""
    hours, over, normal = [], [], []
    for seed in range(seeds):
        for number in range(PROFILING_RUNS + 1, PROFILING_RUNS + RUNS + 1):
            failing = number in FAILURE_RUNS
            played = [
                SimulatedRun(application, number, seed, failing, Conditions()).play(x) for x in CANDIDATES
            ]
            hours.append([executor_hours(run, x) for run, x in zip(played, CANDIDATES, strict=True)])
            seconds = np.array([run.runtime_seconds or 0.0 for run in played])
            over.append(np.maximum(seconds / target_seconds - 1.0, 0.0))
            normal.append(not failing)
            advance()
    return np.array(hours), np.array(over), np.array(normal)


def frontier(title: str, hours: Floats, over: Floats, normal: Bools) -> Section:
    rows = []
    runs = np.arange(len(hours))
    for price in PRICES:
        best = np.argmin(hours + price * over + (MISS_PRICE if price else 0.0) * (over > 0), axis=1)
        paid, missed = hours[runs, best], over[runs, best]
        rows.append(
            [f"{price:g}", f"{paid.mean():.2f}", f"{(missed > 0).mean():.1%}", f"{missed[normal].mean():.3f}"]
        )
    return Section(title, ("worth of an overrun", "executor-hours", "CVC", "rel. CVS normal"), rows)


def hindsight_error(make: Callable[[], Estimator], runs: Sequence[RunRecord], *, factor: bool) -> float:
    """Mean absolute relative error of the rest, each run from all others; `factor`: its own is known."""
    errors = []
    for index, run in enumerate(runs):
        estimator = make()
        estimator.fit([*runs[:index], *runs[index + 1 :]])
        total = run.runtime_seconds or run.jobs[-1].end_seconds
        known = total / estimator.rest(run, 0).seconds if factor else 1.0
        for finished in range(1, len(run.jobs)):
            left = total - run.jobs[finished - 1].end_seconds
            errors.append(abs(known * estimator.rest(run, finished).seconds / left - 1.0))
    return float(np.mean(errors))


def noise(recorded: dict[str, list[RunRecord]]) -> Section:
    rows = []
    for name, make, factor in (
        ("Ernest per job", lambda: CurvePerJob(fit_ernest), False),
        ("median of similar runs", SimilarMedian, False),
        ("median of similar runs, times the run's own factor", SimilarMedian, True),
    ):
        row = [f"{name}, in hindsight"]
        for runs in recorded.values():
            jobs = usual_jobs(runs)
            normal = [run for run in runs if not is_failure_run(run) and len(run.jobs) == jobs]
            row.append(f"{hindsight_error(make, normal, factor=factor):.1%}")
        rows.append(row)
    return Section("Error of the remaining runtime, normal runs", ("estimator", *recorded), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--targets", type=parse_targets, default={}, help="minutes: KMeans=14,MPC=9")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    recorded = load_asked(parser, arguments)
    targets = targets_of(recorded, arguments.targets)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 170)
    console.print("Targets:", ", ".join(f"{app} {minutes:g} min" for app, minutes in targets.items()))
    sections = []
    with Progress(console=console) as progress:
        task = progress.add_task("Choices", total=len(recorded) * 2 * arguments.seeds * RUNS)
        for app, runs in recorded.items():
            application = calibrate_application(runs)
            for share in (1.0, 1.25):
                found = every_choice(
                    application, 60.0 * targets[app] * share, arguments.seeds, lambda: progress.advance(task)
                )
                sections.append(frontier(f"{app}, target x{share:g}: best static choices", *found))
    sections.append(noise(recorded))
    show(console, sections)
    values = {section.title: [list(row) for row in section.rows] for section in sections}
    write(arguments.output, "limits", sections, [], values)


if __name__ == "__main__":
    main()
