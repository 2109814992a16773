"""What nobody could beat: the price of every target in hindsight, and the noise of recorded runs.

    python benchmarks/limits.py --data DIR [--apps FILE ...] [--targets KMeans=14,MPC=9]
        [--results DIR/runtime_targets.json] --output DIR

Price: of simulated runs, whose random effects are known (`benchmarks.hindsight`), the fewest executor-hours
with which no more than a share of them misses the target. Once with one scale-out for a run, as the oracle
has it, and once with the best one for every job and rescaling in no time, which is more than any policy can
do. With the results of `runtime_targets.py`, also the fewest with which a policy's misses and overruns are to
be had, and those that the bars ask for: what is between the two, knowledge of the future would save. Seeds,
runs and targets are then those of the results.

Noise: remaining runtimes of recorded runs without failures, predicted from all other such runs, those that
came later included. What is left is how much runs differ from each other. The last line even knows how much
slower or faster than usual the run as a whole will have been.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.ellis_data import (  # noqa: E402
    FAILURE_RUNS,
    PROFILING_RUNS,
    add_arguments,
    complete_runs,
    is_failure_run,
    load_asked,
)
from benchmarks.estimators import CurvePerJob, Estimator, SimilarMedian  # noqa: E402
from benchmarks.hindsight import Choices, Draw, choices_per_job, static_choices  # noqa: E402
from benchmarks.reporting import Section, legend_below, open_console, scatter_policies, show, write  # noqa: E402
from benchmarks.runtime_targets import (  # noqa: E402
    CANDIDATES,
    ELLIS,
    RUNS,
    limits_over_ellis,
    parse_targets,
    targets_of,
)
from benchmarks.simulator import calibrate_application  # noqa: E402
from prediction.forecasts.curves import fit_ernest  # noqa: E402
from training.history.values import RunRecord  # noqa: E402

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Of missed targets, whose least price is shown."""

FACTORS = (1.0, 1.25)
"""Of the targets."""


class Limits(NamedTuple):
    """Choices in hindsight for one application and target."""

    app: str
    factor: float
    static: Choices
    per_job: Choices

    def prices(self, missed: float, normal_over: float = np.inf) -> list[str]:
        found = (choices.least_hours(missed, normal_over) for choices in (self.static, self.per_job))
        return ["none" if np.isnan(hours) else f"{hours:.2f}" for hours in found]


def price_section(limits: Limits) -> Section:
    rows = []
    for missed in sorted({*SHARES, limits.static.least_missed(), limits.per_job.least_missed()}):
        rows.append([f"{missed:.1%}", *limits.prices(missed)])
    columns = ("targets missed, at most", "one scale-out per run", "one per job, at no cost")
    title = f"{limits.app}, target x{limits.factor:g}: least executor-hours in hindsight"
    return Section(title, columns, rows)


def policy_section(limits: Limits, policies: Mapping[str, Mapping[str, float]]) -> Section:
    """What policies took, and what their misses and overruns are to be had for at least."""
    rows = []
    for name, found in policies.items():
        missed, over = found["cvc"], found["normal_relative_cvs"]
        took = f"{found['executor_hours']:.2f}"
        rows.append([name, f"{missed:.1%}", f"{over:.3f}", took, *limits.prices(missed, over)])
    if ELLIS in policies:
        of_misses, of_overruns = limits_over_ellis(limits.factor)
        missed = of_misses * policies[ELLIS]["cvc"]
        over = of_overruns * policies[ELLIS]["normal_relative_cvs"]
        wanted = f"{policies[ELLIS]['executor_hours']:.2f}"
        asked = f"{over:.3f}" if np.isfinite(over) else ""
        rows.append(["the bars", f"{missed:.1%}", asked, wanted, *limits.prices(missed, over)])
    columns = (
        "policy",
        "CVC",
        "rel. CVS normal",
        "executor-hours",
        "in hindsight: one scale-out per run",
        "one per job",
    )
    return Section(f"{limits.app}, target x{limits.factor:g}: policies", columns, rows)


def draw(found: Sequence[Limits], results: Mapping[tuple[str, float], Mapping[str, Any]], path: Path) -> None:
    """Misses over price: what is to be had in hindsight, and where policies are."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(name for policies in results.values() for name in policies))
    figure, axes = pyplot.subplots(1, len(found), figsize=(3.8 * len(found), 4), squeeze=False)
    for axis, limits in zip(axes[0], found, strict=True):
        for name, choices, style in (
            ("one scale-out per run", limits.static, "-"),
            ("one per job", limits.per_job, "--"),
        ):
            shares = np.linspace(choices.least_missed(), 0.6, 20)
            hours = [choices.least_hours(share) for share in shares]
            axis.plot(hours, 100 * shares, style, color="grey", label=f"in hindsight, {name}")
        policies = results.get((limits.app, limits.factor), {})
        prices = {name: (by["executor_hours"], 100 * by["cvc"]) for name, by in policies.items()}
        scatter_policies(axis, prices, names)
        axis.set_title(f"{limits.app}, x{limits.factor:g}")
    legend_below(figure, axes[0][0])
    figure.savefig(path, dpi=120)


class Results(NamedTuple):
    """What `runtime_targets.py` has written, of the standard cluster."""

    seeds: int
    runs: int
    """Of each seed."""
    targets: Mapping[str, float]
    """Minutes by application, without any factor; empty where they were not written."""
    policies: Mapping[tuple[str, float], Mapping[str, Any]]
    """Per application and factor, what each achieved."""


def read_results(path: Path) -> Results:
    """Read them.

    Raises:
        ValueError: The file is not what `runtime_targets.py` writes.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))["values"]
        found = {
            (one["application"], one["factor"]): one["policies"]
            for one in values["results"]
            if one["variant"] == "standard"
        }
        return Results(
            int(values["seeds"]), int(values.get("runs", RUNS)), dict(values.get("targets", {})), found
        )
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path.name} is no result of runtime_targets.py: {error!r}") from error


def targets_alike(
    results: Results, targets: Mapping[str, float], given: Mapping[str, float]
) -> dict[str, float]:
    """Minutes per application: those of the results, where they say any.

    Args:
        targets: Without the results.
        given: Of them, those of the command line.
    Raises:
        ValueError: The command line says others than the results are of.
    """
    for app, minutes in given.items():
        if results.targets.get(app, minutes) != minutes:
            raise ValueError(f"the results are of a target of {results.targets[app]:g} min for {app}")
    return {app: results.targets.get(app, minutes) for app, minutes in targets.items()}


def hindsight_error(make: Callable[[], Estimator], runs: Sequence[RunRecord], *, factor: bool) -> float:
    """Mean absolute relative error of remaining runtimes, each run from all others; `factor`: its own is
    known."""
    errors = []
    for index, run in enumerate(runs):
        estimator = make()
        estimator.fit([*runs[:index], *runs[index + 1 :]])
        total = run.runtime_seconds or run.jobs[-1].end_seconds
        known = total / estimator.remaining(run, 0).seconds if factor else 1.0
        for finished in range(1, len(run.jobs)):
            left = total - run.jobs[finished - 1].end_seconds
            errors.append(abs(known * estimator.remaining(run, finished).seconds / left - 1.0))
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
            normal = [run for run in complete_runs(runs) if not is_failure_run(run)]
            row.append(f"{hindsight_error(make, normal, factor=factor):.1%}")
        rows.append(row)
    return Section("Error of the remaining runtime, normal runs", ("estimator", *recorded), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--targets", type=parse_targets, default={}, help="minutes: KMeans=14,MPC=9")
    parser.add_argument("--seeds", type=int, help="5, or as many as the results are of")
    parser.add_argument("--results", type=Path, help="runtime_targets.json, to compare policies with")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    recorded = load_asked(parser, arguments)
    targets = targets_of(recorded, arguments.targets)
    results = Results(arguments.seeds or 5, RUNS, {}, {})
    if arguments.results:
        try:
            results = read_results(arguments.results)
            targets = targets_alike(results, targets, arguments.targets)
        except ValueError as error:
            parser.error(str(error))
        if arguments.seeds not in (None, results.seeds):
            parser.error(f"{arguments.results.name} is of {results.seeds} seeds")
    console = open_console()
    console.print("Targets:", ", ".join(f"{app} {minutes:g} min" for app, minutes in targets.items()))
    draws = [
        Draw(number, seed, number in FAILURE_RUNS)
        for seed in range(results.seeds)
        for number in range(PROFILING_RUNS + 1, PROFILING_RUNS + results.runs + 1)
    ]
    found, sections = [], []
    with Progress(console=console) as progress:
        task = progress.add_task("Choices", total=len(recorded) * len(FACTORS) * len(draws))
        for app, runs in recorded.items():
            application = calibrate_application(runs)
            for factor in FACTORS:
                seconds = 60.0 * targets[app] * factor
                limits = Limits(
                    app,
                    factor,
                    static_choices(
                        application,
                        seconds,
                        draws,
                        CANDIDATES,
                        lambda: progress.advance(task),
                    ),
                    choices_per_job(application, seconds, draws, CANDIDATES),
                )
                found.append(limits)
                sections.append(price_section(limits))
                if (app, factor) in results.policies:
                    sections.append(policy_section(limits, results.policies[app, factor]))
    sections.append(noise(recorded))
    show(console, sections)
    values = {section.title: [list(row) for row in section.rows] for section in sections}
    about = {"seeds": results.seeds, "runs": results.runs, "targets": targets}
    write(arguments.output, "limits", sections, [], {**about, "tables": values})
    draw(found, results.policies, arguments.output / "limits.png")


if __name__ == "__main__":
    main()
