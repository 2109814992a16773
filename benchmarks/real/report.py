"""What came of the loop: targets met and executor-seconds by application and policy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from rich.console import Console

from benchmarks.real.intervals import Interval, mean_interval, ratio_interval, wilson
from benchmarks.real.loop import DYNAMIC_ALLOCATION, POLICIES, LoopRun, failures, loop_runs
from benchmarks.real.recordings import Json, Store
from benchmarks.reporting import Section, legend_below, scatter_policies, show, write

ByPolicy = Mapping[str, Sequence[LoopRun]]


def report(store: Store, applications: Sequence[str], console: Console, output: Path) -> None:
    """From the stored runs alone. Raises SystemExit where there are none."""
    found = {name: complete_rounds(loop_runs(store, name)) for name in applications}
    found = {name: by for name, by in found.items() if by}
    failed = {name: failures(store, name) for name in found}
    if not found:
        raise SystemExit(f"No round of the loop is complete in {store.folder}.")
    sections = [section(name, by, failed[name]) for name, by in found.items()]
    show(console, sections)
    told = {name: figures(by, failed[name]) for name, by in found.items()}
    write(output, "real_loop", sections, [], told)
    draw(told, output / "real_loop.png")


def complete_rounds(runs: Sequence[LoopRun]) -> dict[str, list[LoopRun]]:
    """By policy, in the order of their numbers: those numbers that all policies were measured in."""
    by = {name: {run.number: run for run in runs if run.policy == name} for name in POLICIES}
    numbers = sorted(set.intersection(*(set(each) for each in by.values())))
    return {name: [each[number] for number in numbers] for name, each in by.items()} if numbers else {}


def figures(by: ByPolicy, failed: Mapping[str, int] = MappingProxyType({})) -> dict[str, Json]:
    """By policy: its runs, and what is told of them with 95% intervals.

    Args:
        failed: Applications that did not complete, by policy: they have missed their targets.
    """
    baseline = by[DYNAMIC_ALLOCATION]
    found: dict[str, Json] = {}
    for name, runs in by.items():
        used, base = ([run.recording.executor_seconds for run in each] for each in (runs, baseline))
        runtimes = [run.recording.runtime_seconds for run in runs]
        found[name] = {
            "runs": len(runs),
            "failed": failed.get(name, 0),
            "met": wilson(sum(run.met for run in runs), len(runs) + failed.get(name, 0)).__dict__,
            "met_undisturbed": _share([run for run in runs if not run.executor_killed]),
            "met_killed": _share([run for run in runs if run.executor_killed]),
            "runtime_seconds": mean_interval(runtimes).__dict__,
            "executor_seconds": mean_interval(used).__dict__,
            "over_dynamic_allocation": ratio_interval(used, base).__dict__,
            "rescalings": sum(run.rescalings for run in runs) / len(runs),
            "executors": sum(run.executors for run in runs) / len(runs),
        }
    return found


def _share(runs: Sequence[LoopRun]) -> Json | None:
    return wilson(sum(run.met for run in runs), len(runs)).__dict__ if runs else None


def section(application: str, by: ByPolicy, failed: Mapping[str, int] = MappingProxyType({})) -> Section:
    """Rescalings are those that were asked for, executors those that were launched, both on average."""
    columns = (
        "policy",
        "runs",
        "failed",
        "met, %",
        "undisturbed, %",
        "one killed, %",
        "runtime, s",
        "executor-seconds",
        "over DA's",
        "rescalings",
        "executors",
    )
    rows = []
    for name, each in figures(by, failed).items():
        shares = (each["met"], each["met_undisturbed"], each["met_killed"])
        rows.append(
            [
                name,
                str(each["runs"]),
                str(each["failed"]),
                *("" if share is None else _cell(Interval(**share), 0, 100.0) for share in shares),
                _cell(Interval(**each["runtime_seconds"]), 1),
                _cell(Interval(**each["executor_seconds"]), 0),
                _cell(Interval(**each["over_dynamic_allocation"]), 2),
                f"{each['rescalings']:.1f}",
                f"{each['executors']:.1f}",
            ]
        )
    targets = sorted({run.target_seconds for runs in by.values() for run in runs})
    told = " and ".join(f"{target:.1f} s" for target in targets)
    return Section(f"{application}, target {told}; 95% intervals", columns, rows)


def _cell(interval: Interval, digits: int, times: float = 1.0) -> str:
    ends = (interval.value, interval.low, interval.high)
    value, low, high = (f"{times * each:.{digits}f}" for each in ends)
    return f"{value} ({low} to {high})"


def draw(figures_of: Mapping[str, Mapping[str, Json]], path: Path) -> None:
    """Targets met over executor-seconds, one picture per application."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(figures_of), figsize=(4.2 * len(figures_of), 4.0), squeeze=False)
    for axis, (name, told) in zip(axes[0], figures_of.items(), strict=True):
        at = {
            policy: (each["executor_seconds"]["value"], 100 * each["met"]["value"])
            for policy, each in told.items()
        }
        for policy, (x, y) in at.items():
            used, met = told[policy]["executor_seconds"], told[policy]["met"]
            axis.errorbar(
                x,
                y,
                xerr=[[x - used["low"]], [used["high"] - x]],
                yerr=[[max(0.0, y - 100 * met["low"])], [max(0.0, 100 * met["high"] - y)]],
                color=f"C{list(at).index(policy) % 10}",
                linewidth=0.8,
                alpha=0.5,
            )
        scatter_policies(axis, at, list(POLICIES))
        axis.set(title=name, xlabel="executor-seconds per run", ylabel="targets met, %", ylim=(-5, 105))
    legend_below(figure, axes[0][0], columns=3)
    figure.savefig(path, dpi=120)
