"""What trials of the hyperparameter search buy: errors on runs that came later, against trials.

    python benchmarks/search_budget.py --data DIR --output DIR [--apps FILE ...]
        [--trials 1 2 5 10 20 40] [--seeds 1] [--quick]

The search is the service's own. Per application and seed it runs once, for the largest number of
trials: those of a search of n trials are its first n, exactly (`training.search.ordered_trials`). For every
budget the best trial so far is trained as the service does, and judged on the runs after its history.

Applications: the recordings, which have neither stages nor metrics (history: runs 1 to 30; later
runs: the next ten, all normal), and a made-up one that has both (`benchmarks.staged_application`; 45
and 15 runs, another life of it for every seed). What serves may be the laws alone, if validation does
not find the network clearly better; each is also judged by itself. Similar runs are joined to both.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.ellis_data import add_arguments, load_asked  # noqa: E402
from benchmarks.reporting import Section, open_console, show, write  # noqa: E402
from benchmarks.staged_application import APPLICATION, make_runs  # noqa: E402
from training.history.values import RunRecord  # noqa: E402
from training.runtime_model.evaluation import remaining_errors  # noqa: E402
from training.runtime_model.loop import LAWS, NETWORK, PretrainingSession  # noqa: E402
from training.runtime_model.prepared import prepare  # noqa: E402
from training.search.config import SearchConfig  # noqa: E402
from training.search.ray_trials import run_trials  # noqa: E402
from training.search.search import train_best  # noqa: E402

BUDGETS = (1, 2, 5, 10, 20, 40)
HISTORY_RUNS, LATER_RUNS = 30, 10
STAGED_HISTORY, STAGED_LATER = 45, 15
STAGED = f"{APPLICATION} (made up)"


@dataclass(frozen=True)
class Point:
    """What a budget came to, of one application and seed."""

    trials: int
    score: float
    """What the search minimises: errors of remaining runtimes, jobs and metrics of held-out runs together."""
    validation: dict[str, float]
    """Mean absolute relative error of remaining runtimes of held-out runs, by what may serve."""
    later: dict[str, float]
    """The same of later runs."""
    serves: str

    @property
    def served(self) -> float:
        return self.later[self.serves]


def measure(
    history: Sequence[RunRecord],
    later: Sequence[RunRecord],
    budgets: Sequence[int],
    search: SearchConfig,
    advance: Callable[[], None],
) -> list[Point]:
    """Search once, and judge the best trial of every budget."""
    prepared = prepare(history)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run_trials(prepared, Path(folder), search, report=lambda _: advance())
    sessions: dict[int, PretrainingSession] = {}
    errors: dict[int, dict[str, float]] = {}
    points = []
    for budget in budgets:
        best = min(range(min(budget, len(outcomes))), key=lambda number: outcomes[number].loss)
        if best not in sessions:
            sessions[best] = train_best(prepared, outcomes[: best + 1], search)
            errors[best] = {
                name: remaining_errors(sessions[best].finish(name), later).error for name in (NETWORK, LAWS)
            }
        validation = sessions[best].finish().validation
        points.append(
            Point(
                budget,
                outcomes[best].loss,
                dict(validation["remaining_errors"]),
                errors[best],
                validation["serves"],
            )
        )
    return points


def split(
    runs: Sequence[RunRecord], history: int, later: int
) -> tuple[Sequence[RunRecord], Sequence[RunRecord]]:
    """What is learned from, and the runs after it."""
    return runs[:history], runs[history : history + later]


Results = dict[str, list[list[Point]]]
"""Per application, one list per seed."""


def _mean(points: Sequence[Point], of: Callable[[Point], float]) -> float:
    return float(np.mean([of(point) for point in points]))


def tables(results: Results) -> list[Section]:
    columns = (
        "trials", "score", "validation: network", "validation: laws",
        "later runs: network", "later runs: laws", "later runs: what serves", "network serves",
    )  # fmt: skip
    sections = []
    for app, seeds in results.items():
        rows = []
        for points in zip(*seeds, strict=True):
            errors = [
                _mean(points, lambda point: point.validation[NETWORK]),
                _mean(points, lambda point: point.validation[LAWS]),
                _mean(points, lambda point: point.later[NETWORK]),
                _mean(points, lambda point: point.later[LAWS]),
                _mean(points, lambda point: point.served),
            ]
            serves = sum(point.serves == NETWORK for point in points)
            rows.append(
                [
                    str(points[0].trials),
                    f"{_mean(points, lambda point: point.score):.4f}",
                    *(f"{error:.1%}" for error in errors),
                    f"{serves} of {len(points)}",
                ]
            )
        sections.append(Section(f"{app}: error of the remaining runtime against trials", columns, rows))
    return sections


def draw(results: Results, path: Path) -> None:
    """Error against trials, one picture per application."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(results), figsize=(4.5 * len(results), 3.6), squeeze=False)
    lines: list[tuple[str, str, Callable[[Point], float]]] = [
        ("later runs: what serves", "k-o", lambda point: point.served),
        ("later runs: network", "C0-", lambda point: point.later[NETWORK]),
        ("later runs: laws", "C1-", lambda point: point.later[LAWS]),
        ("validation: network", "C0:", lambda point: point.validation[NETWORK]),
        ("validation: laws", "C1:", lambda point: point.validation[LAWS]),
    ]
    for axis, (app, seeds) in zip(axes[0], results.items(), strict=True):
        budgets = [point.trials for point in seeds[0]]
        for label, style, of in lines:
            errors = [100 * _mean(points, of) for points in zip(*seeds, strict=True)]
            axis.plot(budgets, errors, style, label=label, markersize=4)
        axis.set(title=app, xlabel="trials", ylabel="error %", xscale="log", ylim=(0, None))
        axis.set_xticks(budgets, [str(budget) for budget in budgets], minor=False)
        axis.minorticks_off()
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--trials", type=int, nargs="+", default=BUDGETS, help="budgets to compare")
    parser.add_argument("--seeds", type=int, default=1, help="of the search, and of the made-up application")
    parser.add_argument("--quick", action="store_true", help="budgets up to 5 trials, one seed")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    budgets = sorted({max(budget, 1) for budget in arguments.trials})
    if arguments.quick:
        budgets = [budget for budget in budgets if budget <= 5] or budgets[:1]
    seeds = 1 if arguments.quick else arguments.seeds
    recorded, staged = (HISTORY_RUNS, LATER_RUNS), (STAGED_HISTORY, STAGED_LATER)
    applications: dict[str, Callable[[int], tuple[Sequence[RunRecord], Sequence[RunRecord]]]] = {
        app: lambda _, runs=runs: split(runs, *recorded)  # type: ignore[misc]
        for app, runs in load_asked(parser, arguments).items()
    }
    applications[STAGED] = lambda seed: split(make_runs(sum(staged), seed), *staged)
    console = open_console()
    results: Results = {}
    with Progress(console=console) as progress:
        for app, runs_of in applications.items():
            task = progress.add_task(app, total=seeds * budgets[-1])
            for seed in range(seeds):
                search = replace(SearchConfig(), trials=budgets[-1], seed=seed)
                found = measure(*runs_of(seed), budgets, search, lambda task=task: progress.advance(task))  # type: ignore[misc]
                results.setdefault(app, []).append(found)
    sections = tables(results)
    show(console, sections)
    values = {
        app: [[asdict(point) for point in points] for points in by_seed] for app, by_seed in results.items()
    }
    write(arguments.output, "search_budget", sections, [], {"seeds": seeds, "results": values})
    draw(results, arguments.output / "search_budget.png")


if __name__ == "__main__":
    main()
