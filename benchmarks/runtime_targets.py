"""Do runs meet their targets? The service's decisions, Ellis and static choices, in closed loop.

    python benchmarks/runtime_targets.py --data DIR [--apps FILE ...] [--seeds 5] [--quick]
        [--targets KMeans=14,MPC=9] [--factors 1 1.25] [--variants standard,slow,deaf] [--runs 55]
        [--confidences 0.5 0.7 0.9] [--ablations] [--processes 2]
        [--http [--retrain-runs 10] [--trials 1]] --output DIR

Each sequence of runs starts with ten profiling runs over the scale-outs; 55 runs with a target
follow, during fifteen of which executors are killed. Policies see the same random effects: what a run draws
depends on seed and number only. Each learns from the runs it steered itself.

With --http the service's decisions also come from a running service, over HTTP, which the benchmark
starts on a database and a Kubernetes double of its own: fewer runs unless said otherwise, no bars.

CVC: share of runs over the target. CVS: minutes over it, mean over all runs; relative: over the
target. Executor-hours are per run.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.ellis_data import (  # noqa: E402
    FAILURE_RUNS,
    PROFILING_RUNS,
    add_arguments,
    load_asked,
    typical_minutes,
)
from benchmarks.http_policy import OverHttp, Service, service_on_double, service_section  # noqa: E402
from benchmarks.parallel import process_pool  # noqa: E402
from benchmarks.policies import Fixed, Steering, ellis, ours, static  # noqa: E402
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
from benchmarks.simulator import (  # noqa: E402
    MAX_SCALE_OUT,
    MIN_SCALE_OUT,
    Application,
    Conditions,
    SimulatedRun,
    calibrate_application,
    profiling_scale_outs,
)
from common.settings.prediction import PredictionSettings  # noqa: E402
from training.history.values import RunRecord  # noqa: E402

RUNS = 55
HTTP_RUNS = 20
CANDIDATES = tuple(range(MIN_SCALE_OUT, MAX_SCALE_OUT + 1))
RECORDED_TARGETS = {"KMeans": 14.0, "MPC": 9.0}
"""Minutes that the recorded experiments aimed at."""

MOST_MISSED, MOST_HOURS = 0.03, 1.25
"""Of the runs that the oracle brings in on time, those that may miss; executor-hours over the oracle's.

The anchor is Ferguson et al., Jockey, EuroSys 2012."""

VARIANTS = {
    "standard": Conditions(),
    "slow": Conditions(out_seconds=60.0, in_seconds=60.0),
    "deaf": Conditions(ignored_share=0.5),
}
OURS, HTTP, ELLIS, STATIC, MARGIN, MAXIMUM, ORACLE = (
    "ours", "ours, over HTTP", "corrected Ellis", "static", "static, 0.9", "maximum", "oracle"
)  # fmt: skip


def sure(confidence: float) -> PredictionSettings:
    """Settings of a service that is asked to be as sure as this, whatever it does."""
    return PredictionSettings(
        target_confidence=confidence, stay_confidence=confidence, scale_in_confidence=confidence
    )


def policies(ablations: bool, confidences: Sequence[float] = ()) -> dict[str, Callable[[], Steering]]:
    found: dict[str, Callable[[], Steering]] = {
        OURS: lambda: ours(CANDIDATES),
        ELLIS: lambda: ellis(CANDIDATES),
        STATIC: lambda: static(CANDIDATES),
        MARGIN: lambda: static(CANDIDATES, 0.9),
        MAXIMUM: lambda: Fixed(MAX_SCALE_OUT),
    }
    if ablations:
        found["ours, no fine-tuning"] = lambda: ours(CANDIDATES, fine_tune=False)
        found["ours, no uncertainty"] = lambda: ours(CANDIDATES, uncertain=False)
        cheaply = PredictionSettings(infeasible_target="cheapest")
        found["ours, hopeless runs given up"] = lambda: ours(CANDIDATES, settings=cheaply)
    for confidence in confidences:
        settings = sure(confidence)
        found[f"ours, {confidence:.0%} sure"] = partial(ours, CANDIDATES, settings=settings)
    return found


def over_http(
    service: Service, retrain_runs: int, trials: int, made: list[OverHttp]
) -> dict[str, Callable[[], Steering]]:
    """A running service's decisions; `made` gets the policies that ask it."""

    def make() -> Steering:
        made.append(OverHttp(service, CANDIDATES, retrain_runs=retrain_runs, trials=trials))
        return made[-1]

    return {HTTP: make}


@dataclass(frozen=True)
class Outcome:
    """One steered run."""

    number: int
    runtime_seconds: float
    target_seconds: float
    executor_hours: float
    rescalings: int
    initial_scale_out: int

    @property
    def is_failure(self) -> bool:
        return self.number in FAILURE_RUNS

    @property
    def over_seconds(self) -> float:
        return max(self.runtime_seconds - self.target_seconds, 0.0)


@dataclass(frozen=True)
class Summary:
    """What one policy did with one application and target, over seeds."""

    cvc: float
    cvs_minutes: float
    relative_cvs: float
    normal_relative_cvs: float
    executor_hours: float
    rescalings: float
    normal_cvc: float
    missed_in_reach: float
    """Of the runs that the oracle brings in on time, the share that is over the target."""
    decision_ms: float


def executor_hours(run: RunRecord, initial: int) -> float:
    """Scale-out over time; a rescaling within a job counts from its middle."""
    total, clock = 0.0, 0.0
    for job in run.jobs:
        total += job.start_scale_out * (job.start_seconds - clock)
        total += 0.5 * (job.start_scale_out + job.end_scale_out) * job.runtime_seconds
        clock = job.end_seconds
    return total / 3600


def play_sequence(
    application: Application,
    make: Callable[[], Steering],
    target_seconds: float,
    seed: int,
    conditions: Conditions,
    advance: Callable[[], None],
    runs: int = RUNS,
    failing: Collection[int] = FAILURE_RUNS,
) -> tuple[list[Outcome], list[float]]:
    """Profiling runs, then the runs with a target; returns these, and the policy's decision times.

    Args:
        failing: Numbers of runs in which executors die.
    """
    history = []
    for number, scale_out in enumerate(profiling_scale_outs(seed, PROFILING_RUNS), start=1):
        history.append(SimulatedRun(application, number, seed, False, conditions).play(scale_out))
    policy = make()
    outcomes = []
    for number in range(PROFILING_RUNS + 1, PROFILING_RUNS + runs + 1):
        run = SimulatedRun(application, number, seed, number in failing, conditions)
        initial = policy.initial(history, target_seconds)
        record = run.play(initial, lambda known, now: policy.after_job(known, now, target_seconds))
        history.append(record)
        assert record.runtime_seconds is not None
        hours = executor_hours(record, initial)
        outcomes.append(
            Outcome(number, record.runtime_seconds, target_seconds, hours, run.rescalings, initial)
        )
        advance()
    if isinstance(policy, OverHttp):
        policy.finish(history)
    return outcomes, getattr(policy, "decision_seconds", [])


def oracle(
    application: Application,
    target_seconds: float,
    seed: int,
    runs: int = RUNS,
    failing: Collection[int] = FAILURE_RUNS,
) -> list[Outcome]:
    """The smallest static scale-out that meets each run's target, otherwise the fastest."""
    outcomes = []
    for number in range(PROFILING_RUNS + 1, PROFILING_RUNS + runs + 1):
        tried = []
        for scale_out in CANDIDATES:
            run = SimulatedRun(application, number, seed, number in failing, Conditions())
            record = run.play(scale_out)
            assert record.runtime_seconds is not None
            hours = executor_hours(record, scale_out)
            tried.append(Outcome(number, record.runtime_seconds, target_seconds, hours, 0, scale_out))
        met = [outcome for outcome in tried if outcome.over_seconds == 0]
        outcomes.append(met[0] if met else min(tried, key=lambda outcome: outcome.runtime_seconds))
    return outcomes


Played = tuple[list[Outcome], list[float]]
"""Steered runs, and the policy's decision times."""


def play_by_name(
    application: Application,
    name: str,
    ablations: bool,
    confidences: Sequence[float],
    target_seconds: float,
    seed: int,
    variant: str,
    runs: int,
) -> Played:
    """One sequence in a process of its own."""
    torch.set_num_threads(1)
    if name == ORACLE:
        return oracle(application, target_seconds, seed, runs), []
    make = policies(ablations, confidences)[name]
    return play_sequence(application, make, target_seconds, seed, VARIANTS[variant], lambda: None, runs)


def _joined(sequences: Sequence[Played]) -> Played:
    return [o for outcomes, _ in sequences for o in outcomes], [s for _, found in sequences for s in found]


def missed_in_reach(outcomes: Sequence[Outcome], best: Sequence[Outcome]) -> float:
    """Share over the target among the runs that the oracle brings in on time; 0 without any.

    Args:
        best: The oracle's, run by run.
    """
    missed = [mine.over_seconds > 0 for mine, its in zip(outcomes, best, strict=True) if not its.over_seconds]
    return float(np.mean(missed)) if missed else 0.0


def summarize(
    outcomes: Sequence[Outcome], decision_seconds: Sequence[float], best: Sequence[Outcome]
) -> Summary:
    """Summarize steered runs.

    Args:
        best: The oracle's, run by run.
    """
    over = np.array([outcome.over_seconds for outcome in outcomes])
    target = np.array([outcome.target_seconds for outcome in outcomes])
    normal = np.array([not outcome.is_failure for outcome in outcomes])
    return Summary(
        float((over > 0).mean()),
        float(over.mean() / 60),
        float((over / target).mean()),
        float((over / target)[normal].mean()),
        float(np.mean([outcome.executor_hours for outcome in outcomes])),
        float(np.mean([outcome.rescalings for outcome in outcomes])),
        float((over > 0)[normal].mean()),
        missed_in_reach(outcomes, best),
        float(np.median(decision_seconds) * 1000) if len(decision_seconds) else 0.0,
    )


Results = dict[tuple[str, float, str], dict[str, Summary]]
"""By application, factor of the target, and variant: what each policy achieved."""


def judge(results: Results) -> list[Bar]:
    """Per application, and on average over them."""
    bars = []
    for factor, variant in dict.fromkeys((factor, variant) for _, factor, variant in results):
        alike = {app: by for (app, *key), by in results.items() if key == [factor, variant]}
        where = f"x{factor:g}" if variant == "standard" else f"x{factor:g}, {variant}"
        for app, by_policy in alike.items():
            bars += _judge(f"{app} {where}", [by_policy], factor, variant)
        if len(alike) > 1:
            bars += _judge(f"on average {where}", list(alike.values()), factor, variant)
    return bars


def limits_over_ellis(factor: float) -> tuple[float, float]:
    """What CVC and normal runs' relative CVS may be over corrected Ellis's, by the factor of the target."""
    return (0.8, 0.65) if factor == 1.0 else (0.65, np.inf)


def _judge(where: str, found: Sequence[dict[str, Summary]], factor: float, variant: str) -> list[Bar]:
    def of(policy: str, figure: str) -> float:
        return float(np.mean([getattr(by_policy[policy], figure) for by_policy in found]))

    def bar(what: str, figure: str, limit: float, policy: str) -> Bar:
        return Bar(f"{where}: {what} over {policy}", of(OURS, figure), limit, of(policy, figure))

    if variant != "standard":
        return [bar("CVC", "cvc", 1.0, ELLIS)]
    in_reach = of(OURS, "missed_in_reach")
    of_misses, of_overruns = limits_over_ellis(factor)
    bars = [
        bar("CVC", "cvc", of_misses, ELLIS),
        bar("CVC", "cvc", 1.0, MARGIN),
        Bar(f"{where}: missed of those that the {ORACLE} meets", in_reach, MOST_MISSED, percent=True),
        bar("executor-hours", "executor_hours", MOST_HOURS, ORACLE),
    ]
    if factor == 1.0:
        bars.append(bar("rel. CVS of normal runs", "normal_relative_cvs", of_overruns, ELLIS))
        bars.append(bar("executor-hours", "executor_hours", 1.0, ELLIS))
    return bars


def tables(results: Results) -> list[Section]:
    columns = (
        "policy", "CVC", "CVC normal", "missed in reach", "CVS min", "rel. CVS", "rel. CVS normal",
        "executor-hours", "rescalings", "decision ms",
    )  # fmt: skip
    sections = []
    for (app, factor, variant), by_policy in results.items():
        rows = [
            [name, f"{s.cvc:.1%}", f"{s.normal_cvc:.1%}", f"{s.missed_in_reach:.1%}",
             f"{s.cvs_minutes:.2f}", f"{s.relative_cvs:.3f}", f"{s.normal_relative_cvs:.3f}",
             f"{s.executor_hours:.2f}", f"{s.rescalings:.1f}",
             f"{s.decision_ms:.0f}" if s.decision_ms else ""]
            for name, s in by_policy.items()
        ]  # fmt: skip
        sections.append(Section(f"{app}, target x{factor:g}, {variant}", columns, rows))
    return sections


def draw(results: Results, path: Path) -> None:
    """Violations over price, one picture per application and target."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(name for by_policy in results.values() for name in by_policy))
    columns = min(len(results), 4)
    rows = -(-len(results) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(3.8 * columns, 3.6 * rows + 0.4), squeeze=False)
    for unused in axes.flat[len(results) :]:
        unused.remove()
    for axis, ((app, factor, variant), by_policy) in zip(axes.flat, results.items(), strict=False):
        prices = {name: (summary.executor_hours, 100 * summary.cvc) for name, summary in by_policy.items()}
        scatter_policies(axis, prices, names)
        axis.set_title(f"{app}, x{factor:g}, {variant}")
    legend_below(figure, axes[0][0], columns=2 if len(results) == 1 else 4)
    figure.savefig(path, dpi=120)


def parse_targets(text: str) -> dict[str, float]:
    pairs = [part.split("=") for part in text.split(",") if part]
    return {name: float(minutes) for name, minutes in pairs}


def targets_of(recorded: Mapping[str, Sequence[RunRecord]], given: Mapping[str, float]) -> dict[str, float]:
    """Minutes per application: as given, as recorded, or else what three in four of its runs keep."""
    typical = {app: typical_minutes(runs) for app, runs in recorded.items()}
    return {app: (typical | RECORDED_TARGETS | dict(given))[app] for app in recorded}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--seeds", type=int, help="5; with --http 1")
    parser.add_argument("--targets", type=parse_targets, default={}, help="minutes: KMeans=14,MPC=9")
    parser.add_argument("--factors", type=float, nargs="*", help="1 1.25; with --http 1")
    parser.add_argument("--variants", help="standard,slow,deaf; with --http standard")
    parser.add_argument("--runs", type=int, help=f"with a target, {RUNS}; with --http {HTTP_RUNS}")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="sequences at once")
    parser.add_argument("--ablations", action="store_true")
    parser.add_argument(
        "--confidences", type=float, nargs="*", default=[], help="also ours, asked to be as sure as this"
    )
    parser.add_argument("--quick", action="store_true", help="one seed, the standard variant")
    parser.add_argument("--http", action="store_true", help="also through a running service")
    parser.add_argument("--retrain-runs", type=int, default=10, help="with --http: a training so often")
    parser.add_argument("--trials", type=int, default=1, help="with --http: of each training")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    is_short = arguments.quick or arguments.http
    seeds = range(1 if arguments.quick else arguments.seeds or (1 if is_short else 5))
    named = arguments.variants or ("standard" if is_short else ",".join(VARIANTS))
    variants = ["standard"] if arguments.quick else named.split(",")
    factors = arguments.factors or ([1.0] if arguments.http else [1.0, 1.25])
    runs = arguments.runs or (HTTP_RUNS if arguments.http else RUNS)
    recorded = load_asked(parser, arguments)
    targets = targets_of(recorded, arguments.targets)
    console = open_console()
    console.print("Targets:", ", ".join(f"{app} {minutes:g} min" for app, minutes in targets.items()))
    asked = [
        (app, factor, variant)
        for app in recorded
        for factor in factors
        for variant in variants
        if variant == "standard" or factor == 1.0
    ]
    known = policies(arguments.ablations, arguments.confidences)
    results: Results = {}
    asking: list[OverHttp] = []
    with ExitStack() as stack:
        served: dict[str, Callable[[], Steering]] = {}
        if arguments.http:  # before the pool, whose one thread a process would hold for the service, too
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="enel-benchmark-")))
            service = stack.enter_context(service_on_double(folder))
            served = over_http(service, arguments.retrain_runs, arguments.trials, asking)
        pool = stack.enter_context(process_pool(arguments.processes))
        progress = stack.enter_context(Progress(console=console))
        number = len(known) + 1 + len(served)
        task = progress.add_task("Runs", total=len(asked) * len(seeds) * number * runs)
        for app, factor, variant in asked:
            application = calibrate_application(recorded[app])
            target = 60.0 * targets[app] * factor
            played: dict[str, Played] = {}
            progress.update(task, description=f"{app} x{factor:g} {variant}")
            for name, make in served.items():  # alone, for the sake of its latency
                sequences = [
                    play_sequence(
                        application, make, target, seed, VARIANTS[variant],
                        lambda: progress.advance(task), runs,
                    )
                    for seed in seeds
                ]  # fmt: skip
                played[name] = _joined(sequences)
            waiting = {
                name: [
                    pool.submit(
                        play_by_name, application, name, arguments.ablations, arguments.confidences,
                        target, seed, variant, runs,
                    )
                    for seed in seeds
                ]
                for name in (*known, ORACLE)
            }  # fmt: skip
            for name, futures in waiting.items():
                sequences = []
                for future in futures:
                    sequences.append(future.result())
                    progress.advance(task, runs)
                played[name] = _joined(sequences)
            best = played[ORACLE][0]
            by_policy = {name: summarize(*found, best) for name, found in played.items()}
            results[app, factor, variant] = by_policy
            show(console, tables({(app, factor, variant): by_policy}))
    bars = [] if arguments.http else judge(results)  # too few runs to judge by
    sections = [*tables(results), service_section(asking) if arguments.http else bars_section(bars)]
    show(console, sections[-1:])
    values = [
        {"application": app, "factor": factor, "variant": variant, "policies": summaries}
        for (app, factor, variant), by_policy in results.items()
        if (summaries := {name: asdict(summary) for name, summary in by_policy.items()})
    ]
    name = "runtime_targets_http" if arguments.http else "runtime_targets"
    asked_service = [policy.figures() for policy in asking]
    about = {"seeds": len(seeds), "runs": runs, "targets": targets}
    written = {**about, "results": values, "service": asked_service}
    write(arguments.output, name, sections, bars, written)
    draw(results, arguments.output / f"{name}.png")


if __name__ == "__main__":
    main()
