"""What targets cost: runs that hindsight would have brought in on time, and executor-hours over hindsight's.

    python benchmarks/price_of_targets.py [--data DIR] [--prices 5 10 20 40 0] [--kinds flat ...]
        [--noises 0.05 0.2 0.4] [--failures 0 0.25 0.5] [--seeds 2] [--runs 40] --output DIR

In closed loop, on applications that are made up (`made_up_applications`) and, with `--data`, on recorded
ones: the service with several prices of lateness (`LATENESS_PRICE`; 0: executors at any price), corrected
Ellis, a static choice for 0.9 of the target, and an oracle, which has the smallest scale-out that meets each
run's target and the fastest where none does. A policy is dominated where Ellis or the static choice misses
no more targets for fewer executor-hours.
"""

import argparse
import itertools
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.ellis_data import FAILURE_RUNS, PROFILING_RUNS, load_all, recordings  # noqa: E402
from benchmarks.made_up_applications import (  # noqa: E402
    KINDS,
    TARGET_SCALE_OUT,
    TARGET_SHARE,
    make_application,
)
from benchmarks.parallel import process_pool  # noqa: E402
from benchmarks.policies import Steering, ellis, ours, static  # noqa: E402
from benchmarks.reporting import (  # noqa: E402
    Bar,
    Section,
    bars_section,
    legend_below,
    open_console,
    scatter_policies,
    show,
    write,
)
from benchmarks.runtime_targets import (  # noqa: E402
    CANDIDATES,
    ELLIS,
    MARGIN,
    MOST_HOURS,
    MOST_MISSED,
    ORACLE,
    Outcome,
    missed_in_reach,
    oracle,
    play_sequence,
    targets_of,
)
from benchmarks.simulator import Application, Conditions, calibrate_application  # noqa: E402
from common.settings.prediction import PredictionSettings  # noqa: E402

AS_RECORDED, AS_RECORDED_RUNS = 0.25, 40
"""Share of failures that stands for those of the recordings, and runs with a target until it is one."""

SAME_HOURS = 0.03
"""Share of the hours within which two policies cost the same."""


class Case(NamedTuple):
    """An application and what befalls it."""

    name: str
    """Of a kind that is made up, or of a recorded application."""
    noise: float
    """Of whole runs, as a standard deviation of the log; 0: as recorded."""
    failures: float
    """Share of runs in which executors die; of 0.25, in the runs in which they did when it was recorded."""

    @property
    def label(self) -> str:
        if not self.noise:
            return f"{self.name}, recorded"
        return f"{self.name}, noise {self.noise:.0%}, {self.failures:.0%} fail"

    def failing(self) -> frozenset[int]:
        """Numbers of runs in which executors die."""
        if self.failures == AS_RECORDED:
            return FAILURE_RUNS
        # As evenly as whole runs allow, from the first one on.
        due = [math.ceil(self.failures * count - 1e-9) for count in range(1_000)]
        return frozenset((PROFILING_RUNS + 1 + np.flatnonzero(np.diff(due))).tolist())

    def application(self, seed: int, data: Path | None) -> tuple[Application, float]:
        """The application, and its target in seconds."""
        if self.noise:
            made = make_application(self.name, self.noise, seed)
            draws = np.arange(0.0, 1.0, 0.005)
            seconds = [float(made.seconds(TARGET_SCALE_OUT, draw).sum()) for draw in draws]
            return made, float(np.quantile(seconds, TARGET_SHARE))
        assert data is not None
        runs = load_all(recordings(data))[self.name]
        return calibrate_application(runs), 60.0 * targets_of({self.name: runs}, {})[self.name]


def policies(prices: Sequence[float]) -> dict[str, Callable[[], Steering]]:
    """Ours by its price of lateness, and whom it is compared with."""
    found: dict[str, Callable[[], Steering]] = {}
    for price in prices:
        settings = PredictionSettings(lateness_price=price)
        name = f"ours, price {price:g}" if price else "ours, at any price"
        found[name] = partial(ours, CANDIDATES, settings=settings)
    return {**found, ELLIS: lambda: ellis(CANDIDATES), MARGIN: lambda: static(CANDIDATES, 0.9)}


def play(
    case: Case, seed: int, name: str, prices: Sequence[float], runs: int, data: Path | None
) -> list[Outcome]:
    """One sequence of runs in a process of its own."""
    torch.set_num_threads(1)
    application, target = case.application(seed, data)
    if name == ORACLE:
        return oracle(application, target, seed, runs, case.failing())
    make, failing = policies(prices)[name], case.failing()
    return play_sequence(application, make, target, seed, Conditions(), lambda: None, runs, failing)[0]


@dataclass(frozen=True)
class Price:
    """What one policy did in one case."""

    missed: float
    """Share of all runs over their target."""
    missed_in_reach: float
    """Of those that the oracle brings in on time."""
    executor_hours: float
    """Mean of a run."""


def price_of(outcomes: Sequence[Outcome], best: Sequence[Outcome]) -> Price:
    """Compare runs with the oracle's, run by run."""
    missed = float(np.mean([each.over_seconds > 0 for each in outcomes]))
    hours = float(np.mean([each.executor_hours for each in outcomes]))
    return Price(missed, missed_in_reach(outcomes, best), hours)


def dominates(one: Price, other: Price) -> bool:
    """Whether the first misses no more targets, for fewer executor-hours."""
    cheaper = one.executor_hours < (1.0 - SAME_HOURS) * other.executor_hours
    return cheaper and one.missed <= other.missed


Results = dict[Case, dict[str, Price]]


def averages(results: Results) -> dict[str, tuple[float, float, float, int]]:
    """By policy: missed in reach, the most of any case, hours over the oracle's, and how often dominated."""
    found = {}
    for name in next(iter(results.values())):
        of = [by[name] for by in results.values()]
        over = [by[name].executor_hours / by[ORACLE].executor_hours for by in results.values()]
        lost = sum(
            any(dominates(by[other], by[name]) for other in (ELLIS, MARGIN)) for by in results.values()
        )
        reached = [each.missed_in_reach for each in of]
        found[name] = (float(np.mean(reached)), max(reached), float(np.exp(np.mean(np.log(over)))), lost)
    return found


def judge(results: Results, name: str) -> list[Bar]:
    """Per case, for the policy that is the default."""
    bars = []
    for case, by in results.items():
        where = f"{case.label}: {name}"
        bars.append(Bar(f"{where}, missed in reach", by[name].missed_in_reach, MOST_MISSED, percent=True))
        best = by[ORACLE].executor_hours
        bars.append(Bar(f"{where}, executor-hours", by[name].executor_hours, MOST_HOURS, best))
    bars.append(Bar(f"{name}: cases in which Ellis or static 0.9 dominates", averages(results)[name][3], 0.0))
    return bars


def tables(results: Results) -> list[Section]:
    """One line a case, and the frontier."""
    names = list(next(iter(results.values())))
    rows = [
        [case.label, *(f"{p.missed_in_reach:.0%}, {p.executor_hours:.2f}" for p in map(by.get, names) if p)]
        for case, by in results.items()
    ]
    frontier = [
        [name, f"{mean:.1%}", f"{most:.0%}", f"{over:.2f}", str(lost)]
        for name, (mean, most, over, lost) in averages(results).items()
    ]
    return [
        Section("Missed of those in reach, executor-hours a run", ("case", *names), rows),
        Section(
            "Frontier",
            ("policy", "missed in reach", "most in a case", "executor-hours over the oracle's", "dominated"),
            frontier,
        ),
    ]


def draw(results: Results, path: Path) -> None:
    """Misses over hours, all cases together."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6.0, 4.8))
    found = averages(results)
    prices: Mapping[str, tuple[float, float]] = {
        name: (over, 100 * mean) for name, (mean, _, over, _) in found.items()
    }
    scatter_policies(axis, prices, list(found))
    axis.set(xlabel="executor-hours over the oracle's", ylabel="missed of those in reach, %")
    legend_below(figure, axis, columns=2)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="also the recorded applications of this folder")
    parser.add_argument("--prices", type=float, nargs="+", default=[5.0, 10.0, 20.0, 40.0, 0.0])
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--noises", type=float, nargs="+", default=[0.05, 0.2, 0.4])
    parser.add_argument("--failures", type=float, nargs="+", default=[0.0, 0.25, 0.5])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--runs", type=int, default=40, help="with a target, after ten that profile")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    cases = [Case(*each) for each in itertools.product(arguments.kinds, arguments.noises, arguments.failures)]
    if arguments.data is not None:
        recorded = load_all(recordings(arguments.data))
        cases += [Case(name, 0.0, AS_RECORDED) for name in recorded]
    if min(arguments.noises) <= 0.0:
        parser.error("--noises: above 0")
    if any(not 0.0 <= case.failures <= 1.0 for case in cases):
        parser.error("--failures: shares, from 0 to 1")
    if arguments.runs < AS_RECORDED_RUNS and any(case.failures == AS_RECORDED for case in cases):
        parser.error(f"--runs: at least {AS_RECORDED_RUNS}, of which a share of {AS_RECORDED:g} has failures")
    names = [*policies(arguments.prices), ORACLE]
    console, results = open_console(), Results()
    with process_pool(arguments.processes) as pool, Progress(console=console) as progress:
        task = progress.add_task("Sequences", total=len(cases) * len(names) * arguments.seeds)
        waiting = {
            (case, name): [
                pool.submit(play, case, seed, name, arguments.prices, arguments.runs, arguments.data)
                for seed in range(arguments.seeds)
            ]
            for case in cases
            for name in names
        }
        for case in cases:
            played = {}
            for name in names:
                played[name] = []
                for future in waiting[case, name]:
                    played[name] += future.result()
                    progress.advance(task)
            results[case] = {name: price_of(outcomes, played[ORACLE]) for name, outcomes in played.items()}
            show(console, tables({case: results[case]})[:1])
    default = PredictionSettings().lateness_price
    name = f"ours, price {default:g}" if default else "ours, at any price"
    bars = judge(results, name) if name in names else []
    sections = [*tables(results), bars_section(bars)]
    show(console, sections)
    values = {case.label: {name: asdict(each) for name, each in by.items()} for case, by in results.items()}
    write(arguments.output, "price_of_targets", sections, bars, values)
    draw(results, arguments.output / "price_of_targets.png")


if __name__ == "__main__":
    main()
