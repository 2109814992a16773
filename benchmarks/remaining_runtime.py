"""How well remaining runtimes of recorded runs are predicted, by the model and by simple estimators.

    python benchmarks/remaining_runtime.py --data DIR [--apps FILE ...] [--seeds 1] [--quick]
        [--targets KMeans=14,MPC=9] [--made-up] --output DIR

Each run after the profiling runs is predicted from the runs before it: after every job, what is
left, at the scale-outs that it really had. Runs during which executors were killed are counted
apart. Error: mean absolute relative error. Score of 90% intervals: their mean width in log, and twenty
times by how much what was measured lies outside; the smaller, the better (Gneiting and Raftery, Strictly
Proper Scoring Rules, 2007).

Said chances of meeting a target, as in `benchmarks/runtime_targets.py`, and 1.25 times that one, are compared
with how often it is met. With --made-up also those about applications whose law is known
(`benchmarks/made_up_applications.py`), recorded with Ernest's curve choosing the scale-outs.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.ellis_data import PROFILING_RUNS, add_arguments, is_failure_run, load_asked, run_number  # noqa: E402
from benchmarks.estimators import Estimator, baselines, models  # noqa: E402
from benchmarks.made_up_applications import made_up_recordings  # noqa: E402
from benchmarks.reliability import Asked, joined, reliability  # noqa: E402
from benchmarks.reporting import Bar, Section, bars_section, open_console, show, write  # noqa: E402
from benchmarks.runtime_targets import parse_targets, targets_of  # noqa: E402
from common.executions.candidate import Candidate  # noqa: E402
from training.history.values import RunRecord  # noqa: E402
from training.statistics.arrays import Bools, Floats  # noqa: E402

OURS, ERNEST, SIMILAR = "ours", "Ernest per job", "median of similar runs"
OVER_SIMILAR = 1.05
"""What an error may be at most, over that of the median of similar runs."""
TARGET_FACTORS = (1.0, 1.25)
NORMAL_QUANTILE = 1.645
"""End of a normal distribution's 90% interval, in standard deviations."""


@dataclass(frozen=True)
class Predictions:
    """One estimator's, over one application's runs and jobs, (P,)."""

    predicted: Floats
    measured: Floats
    log_std: Floats
    """Of longer runs; NaN where none was given."""
    early_log_std: Floats
    """Of shorter ones."""
    failure: Bools
    run: Floats
    after: Floats
    """Share of the run's jobs that had ended."""
    elapsed: Floats
    """Seconds."""

    def error(self, failure: bool) -> float:
        of = self.failure == failure
        return float((np.abs(self.predicted - self.measured) / self.measured)[of].mean()) if of.any() else 0.0

    def coverage(self, failure: bool | None = None) -> float:
        """Share of the 90% intervals that hold what was measured."""
        of = self._of(failure)
        return float((self._outside == 0)[of].mean()) if of.any() else 0.0

    def interval_score(self, failure: bool | None = None) -> float:
        """Width of the 90% intervals in log, and the price of what lies outside."""
        of = self._of(failure)
        width = NORMAL_QUANTILE * (self.log_std + self.early_log_std)
        return float((width + 2.0 / 0.1 * self._outside)[of].mean()) if of.any() else 0.0

    def asked(self, target_seconds: float) -> Asked:
        """Chances of meeting a target, as the service says them, while some of it was left."""
        open_still = self.elapsed < target_seconds
        rows = (column[open_still] for column in (self.predicted, self.log_std, self.early_log_std))
        left = target_seconds - self.elapsed[open_still]
        chance = [
            Candidate(1, seconds, late, early).chance_within(budget)
            for seconds, late, early, budget in zip(*(row.tolist() for row in (*rows, left)), strict=True)
        ]
        met = self.measured[open_still] <= left
        return Asked(np.array(chance), met, self.failure[open_still], self.run[open_still])

    @property
    def has_intervals(self) -> bool:
        return bool(np.isfinite(self.log_std).any())

    @property
    def _outside(self) -> Floats:
        """By how much what was measured lies outside the 90% interval, in log, (P,)."""
        gap = np.log(self.measured / np.maximum(self.predicted, 1e-3))
        end = NORMAL_QUANTILE * np.where(gap > 0, self.log_std, self.early_log_std)
        return np.asarray(np.maximum(np.abs(gap) - end, 0.0))

    def _of(self, failure: bool | None) -> Bools:
        return np.ones(len(self.run), bool) if failure is None else self.failure == failure


def predict(
    estimator: Estimator,
    runs: Sequence[RunRecord],
    every: int,
    advance: Callable[[], None],
    *,
    is_failure: Callable[[RunRecord], bool] = is_failure_run,
    moments: Callable[[RunRecord], Iterable[int]] | None = None,
) -> Predictions:
    """Go through the runs in order; `every` thins out runs and moments.

    Args:
        moments: Numbers of ended jobs that a run is asked about after; by default each but the last.
    """
    rows = []
    for index in range(PROFILING_RUNS, len(runs)):
        advance()
        if (index - PROFILING_RUNS) % every:
            continue
        run = runs[index]
        estimator.fit(runs[:index])
        asked = range(1, len(run.jobs)) if moments is None else moments(run)
        for finished in list(asked)[::every]:
            elapsed = max((job.end_seconds for job in run.jobs[:finished]), default=0.0)
            left = (run.runtime_seconds or run.jobs[-1].end_seconds) - elapsed
            found = estimator.remaining(run, finished)
            sides = (np.nan if side is None else side for side in (found.log_std, found.early_log_std))
            known = (is_failure(run), run_number(run), finished / len(run.jobs), elapsed)
            rows.append((found.seconds, left, *sides, *known))
    predicted, measured, late, early, failure, *known = np.array(rows, dtype=np.float64).T
    return Predictions(predicted, measured, late, early, failure > 0, *known)


Results = dict[str, dict[str, list[Predictions]]]
"""Per application and estimator, one per seed."""


def _mean(found: Sequence[Predictions], failure: bool) -> float:
    return float(np.mean([part.error(failure) for part in found]))


def _has(found: Sequence[Predictions], failure: bool) -> bool:
    """Whether there are any such runs: of none there is no error, and nothing to judge."""
    return any((part.failure == failure).any() for part in found)


def _percent(found: Sequence[Sequence[Predictions]], failure: bool) -> str:
    """Mean error over those that have such runs."""
    errors = [_mean(each, failure) for each in found if _has(each, failure)]
    return f"{np.mean(errors):.1%}" if errors else "–"


def judge(results: Results) -> list[Bar]:
    bars = []
    for failure, limit, name in ((False, 0.4, "normal"), (True, 0.75, "failures")):
        there = {app: by for app, by in results.items() if _has(by[OURS], failure)}
        if not there:
            continue
        for app, by in there.items():
            bars.append(
                Bar(
                    f"{app}, {name}: error over Ernest",
                    _mean(by[OURS], failure),
                    limit,
                    _mean(by[ERNEST], failure),
                    percent=True,
                )
            )
        ours, ernest = (
            float(np.mean([_mean(by[n], failure) for by in there.values()])) for n in (OURS, ERNEST)
        )
        bars.append(Bar(f"on average, {name}: error over Ernest", ours, limit, ernest, percent=True))
        if not failure:
            bars.append(Bar("on average, normal: error", ours, 0.2, percent=True))
        for app, by in there.items():
            own, similar = (_mean(by[n], failure) for n in (OURS, SIMILAR))
            what = f"{app}, {name}: error over the {SIMILAR}"
            bars.append(Bar(what, own, OVER_SIMILAR, similar, percent=True))
    for app, by in results.items():
        covered = float(np.mean([part.coverage() for part in by[OURS]]))
        bars.append(Bar(f"{app}: 90% intervals cover", covered, 0.95, at_least=0.85, percent=True))
    return bars  # fmt: skip


def table(results: Results, title: str = "Error of the remaining runtime") -> Section:
    columns = ["estimator"]
    for app in results:
        columns += [f"{app} normal", f"{app} failures"]
    columns += ["average normal", "average failures"]
    rows = []
    for name in next(iter(results.values())):
        row = [name]
        for by in results.values():
            row += [_percent([by[name]], failure) for failure in (False, True)]
        row += [_percent([by[name] for by in results.values()], failure) for failure in (False, True)]
        rows.append(row)
    return Section(title, columns, rows)


def intervals(results: Results, title: str = "90% intervals") -> Section:
    columns = ["estimator"]
    for app in results:
        columns += [f"{app} cover normal", f"{app} cover failures", f"{app} cover all", f"{app} score"]
    rows = []
    for name, found in next(iter(results.values())).items():
        if not found[0].has_intervals:
            continue
        row = [name]
        for by in results.values():
            for failure in (False, True, None):
                covered = f"{np.mean([part.coverage(failure) for part in by[name]]):.1%}"
                row.append(covered if failure is None or _has(by[name], failure) else "–")
            row.append(f"{np.mean([part.interval_score() for part in by[name]]):.2f}")
        rows.append(row)
    return Section(title, columns, rows)


def said_chances(results: Results, targets: Mapping[str, float], title: str) -> tuple[Section, list[Bar]]:
    """Said chances of all applications together, about their targets in minutes and `TARGET_FACTORS`."""
    parts = []
    for number, (app, by) in enumerate(results.items()):
        for found in by[OURS]:
            apart = replace(found, run=found.run + 1000 * number)
            parts += [apart.asked(60.0 * targets[app] * factor) for factor in TARGET_FACTORS]
    return reliability(joined(parts), title)


def draw(results: Results, path: Path) -> None:
    """Error over the course of a run, one picture per application."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(results), figsize=(5 * len(results), 3.6), squeeze=False)
    for axis, (app, by) in zip(axes[0], results.items(), strict=True):
        for name, found in by.items():
            normal = ~found[0].failure
            error = np.abs(found[0].predicted / found[0].measured - 1)[normal]
            after = found[0].after[normal]
            moments = np.unique(after)
            means = [100 * error[after == moment].mean() for moment in moments]
            axis.plot(moments, means, label=name, linewidth=2 if name == OURS else 1)
        axis.set(
            title=f"{app}, normal runs", xlabel="share of jobs that ended", ylabel="error %", ylim=(0, 150)
        )
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--seeds", type=int, default=1, help="of the model; the recordings are what they are")
    parser.add_argument("--epochs", type=int, default=15, help="of a pretraining, at most")
    parser.add_argument("--retrain", type=int, default=1, help="runs between two pretrainings")
    parser.add_argument("--every", type=int, default=1, help="of the runs and jobs, to save time")
    parser.add_argument("--no-ablations", action="store_true")
    parser.add_argument("--targets", type=parse_targets, default={}, help="minutes: KMeans=14,MPC=9")
    parser.add_argument("--made-up", action="store_true", help="also applications whose law is known")
    parser.add_argument("--quick", action="store_true", help="every fourth run and job, one seed")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    every, seeds, retrain = arguments.every, arguments.seeds, arguments.retrain
    if arguments.quick:
        every, seeds, retrain = 4, 1, 4
    recorded = load_asked(parser, arguments)
    console = open_console()
    results: Results = {}
    with Progress(console=console) as progress:
        for app, runs in recorded.items():
            by = results.setdefault(app, {})
            asked = [(0, name, found) for name, found in baselines().items()]
            for seed in range(seeds):
                ours = models(seed, arguments.epochs, retrain, not arguments.no_ablations)
                asked += [(seed, name, found) for name, found in ours.items()]
            task = progress.add_task(app, total=len(asked) * (len(runs) - PROFILING_RUNS))
            for seed, name, estimator in asked:
                progress.update(task, description=f"{app}: {name}, seed {seed}")
                found = predict(estimator, runs, every, lambda task=task: progress.advance(task))  # type: ignore[misc]
                by.setdefault(name, []).append(found)
        made_up: Results = {}
        invented = made_up_recordings() if arguments.made_up else {}
        for app, (runs, _) in invented.items():
            task = progress.add_task(app, total=len(runs) - PROFILING_RUNS)
            model = models(0, arguments.epochs, retrain, ablations=False)[OURS]
            found = predict(model, runs, every, lambda task=task: progress.advance(task))  # type: ignore[misc]
            made_up[app] = {OURS: [found]}
    targets = targets_of(recorded, arguments.targets)
    chances, of_chances = said_chances(results, targets, "Said chances")
    bars = judge(results) + of_chances
    sections = [table(results), intervals(results), chances]
    if made_up:
        of_each = {app: minutes for app, (_, minutes) in invented.items()}
        chances, of_chances = said_chances(made_up, of_each, "Made up")
        sections += [table(made_up, "Error, made up"), intervals(made_up, "90% intervals, made up"), chances]
        bars += of_chances
    sections.append(bars_section(bars))
    show(console, sections)
    values = {
        app: {
            name: {
                "normal": _mean(found, False) if _has(found, False) else None,
                "failures": _mean(found, True) if _has(found, True) else None,
                "coverage": [part.coverage() for part in found],
                "interval_score": [part.interval_score() for part in found] if found[0].has_intervals else [],
            }
            for name, found in by.items()
        }
        for app, by in results.items()
    }
    write(arguments.output, "remaining_runtime", sections, bars, {"seeds": seeds, "results": values})
    draw(results, arguments.output / "remaining_runtime.png")


if __name__ == "__main__":
    main()
