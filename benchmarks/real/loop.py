"""Runs with a runtime target, by one policy after the other on the same machine.

Policies that the service decides by learn from the recordings, which are imported, and for which a model is
trained with the same seed in every sitting; then runs of earlier sittings are imported, too. Nothing is
trained later.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from app.client.client import Client
from benchmarks.real.applications import APPLICATIONS, MIDDLE_SIZE, Application
from benchmarks.real.plan import Disturbance, PlannedRun
from benchmarks.real.platform import (
    Interference,
    Json,
    Measured,
    Platform,
    running_platform,
    submission,
    warm_up,
)
from benchmarks.real.progress import carry_out
from benchmarks.real.recording import recording_of
from benchmarks.real.recordings import Recording, Store, recordings
from benchmarks.real.targets import Target, target_of

OURS, DYNAMIC_ALLOCATION = "ours", "dynamic allocation"
KILLED_EVERY = 5
"""Of the runs of each policy, one has an executor killed: the same numbers for all."""

Submit = Callable[[Platform, Json, Interference, Target], Measured]


def _by_service(solution_name: str) -> Submit:
    """The service chooses what to start with, and what to go on with."""

    def submit(platform: Platform, body: Json, interference: Interference, target: Target) -> Measured:
        body["global_specs"] |= {"solution_name": solution_name, "max_runtime": target.seconds}
        return platform.submit({**body, "initial_scale_out_policy": "predicted"}, interference)

    return submit


def _in_hindsight(platform: Platform, body: Json, interference: Interference, target: Target) -> Measured:
    body["global_specs"] |= {"solution_name": "static", "max_runtime": target.seconds}
    body["worker_specs"] = {**body["worker_specs"], "scale_out": target.static_scale_out}
    return platform.submit({**body, "initial_scale_out_policy": "requested"}, interference)


def _by_spark(platform: Platform, body: Json, interference: Interference, target: Target) -> Measured:
    return platform.submit_to_spark(body, interference)


POLICIES: Mapping[str, Submit] = {
    OURS: _by_service("enel"),
    DYNAMIC_ALLOCATION: _by_spark,
    "static in hindsight": _in_hindsight,
    "static 0.9": _by_service("static_margin"),
    "Ellis": _by_service("ellis"),
}


@dataclass(frozen=True)
class LoopRun:
    """One that was measured."""

    policy: str
    number: int
    target_seconds: float
    executor_killed: bool
    executors: int
    """That were launched."""
    rescalings: int
    """Changes of the scale-out that were recommended."""
    recording: Recording

    @property
    def met(self) -> bool:
        return self.recording.runtime_seconds <= self.target_seconds

    def document(self) -> Json:
        known = {name: value for name, value in asdict(self).items() if name != "recording"}
        return {**known, "recording": self.recording.document()}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "LoopRun":
        return cls(**{**document, "recording": Recording.of(document["recording"])})


@dataclass(frozen=True)
class LoopPlan:
    """A run that is to be measured."""

    application: str
    policy: str
    number: int

    @property
    def executor_killed(self) -> bool:
        return self.number % KILLED_EVERY == KILLED_EVERY - 1


def loop_plan(applications: Sequence[str], runs: int) -> Iterator[LoopPlan]:
    """All policies in each round, another one first each time."""
    policies = list(POLICIES)
    for number in range(runs):
        first = number % len(policies)
        for policy in policies[first:] + policies[:first]:
            for application in applications:
                yield LoopPlan(application, policy, number)


def loop_runs(store: Store, application: str) -> list[LoopRun]:
    return [LoopRun.of(document) for document in store.documents(application)]


def left_over(planned: Sequence[LoopPlan], store: Store) -> list[LoopPlan]:
    """Runs that are not measured yet."""
    names = {each.application for each in planned}
    known = {(name, run.policy, run.number) for name in names for run in loop_runs(store, name)}
    return [each for each in planned if (each.application, each.policy, each.number) not in known]


def loop(
    recorded: Store, store: Store, applications: Sequence[str], runs: int, trials: int, console: Console
) -> None:
    """Measure what is left.

    Raises:
        SystemExit: There are too few recordings, or one run after the other fails.
        NotReady: The service did not come up.
    """
    history = {name: recordings(recorded, name) for name in applications}
    targets = {name: target_of(found) for name, found in history.items()}
    for name, target in targets.items():
        _announce(name, target, console)
    planned = list(loop_plan(applications, runs))
    left = left_over(planned, store)
    console.print(f"{len(planned) - len(left)} of {len(planned)} runs of the loop are measured.")
    if not left:
        return

    def run(planned: LoopPlan) -> str:
        found = run_one(platform, planned, targets[planned.application])
        store.add(planned.application, found.document())
        seconds, used = found.recording.runtime_seconds, found.recording.executor_seconds
        outcome = f"{seconds:.1f} of {found.target_seconds:.1f} s ({'met' if found.met else 'missed'})"
        return f"{outcome}, {used:.0f} executor-seconds, {found.rescalings} rescalings"

    with running_platform() as platform:
        for name in sorted({each.application for each in left}):
            _learn(platform.client, name, history[name], loop_runs(store, name), trials, console)
        warm_up(platform)
        carry_out(left, _name, run, console)


def _name(planned: LoopPlan) -> str:
    return f"{planned.application} {planned.number}, {planned.policy}"


def run_one(platform: Platform, planned: LoopPlan, target: Target) -> LoopRun:
    """Carry one out. Raises RunFailed."""
    application: Application = APPLICATIONS[planned.application]
    body = submission(planned.application, application.sizes[MIDDLE_SIZE])
    disturbance = Disturbance.EXECUTOR_KILLED if planned.executor_killed else Disturbance.NONE
    interference = Interference(disturbance, application.middle_job)
    measured = POLICIES[planned.policy](platform, body, interference, target)
    begun_with = measured.watched.jobs[min(measured.watched.jobs)]["start_scale_out"]
    plain = PlannedRun(planned.application, planned.number, begun_with, MIDDLE_SIZE, disturbance)
    return LoopRun(
        policy=planned.policy,
        number=planned.number,
        target_seconds=target.seconds,
        executor_killed=planned.executor_killed,
        executors=measured.executors,
        rescalings=_changes(measured.watched.asked, begun_with),
        recording=recording_of(plain, measured),
    )


def _changes(asked: Sequence[int], begun_with: int) -> int:
    return sum(now != before for before, now in zip([begun_with, *asked], asked, strict=False))


def _learn(
    client: Client,
    name: str,
    history: Sequence[Recording],
    earlier: Sequence[LoopRun],
    trials: int,
    console: Console,
) -> None:
    """Have the service know what is recorded, train a model on it, and know the loop's earlier runs."""
    for recording in history:
        client.import_run(recording.piece)
    console.print(f"{name}: {len(history)} recorded runs are imported; a model is trained.")
    started = client.start_training(name, experiment_name="real-runs", trials=trials)
    *_, training = client.follow_training(started["training_id"])
    if training["state"] != "SUCCEEDED":
        raise SystemExit(f"{name}: the training ended as {training['state']}: {training['detail']}")
    client.preload(name)
    for run in earlier:
        if run.policy != DYNAMIC_ALLOCATION:  # whose runs no service would know of
            client.import_run(run.recording.piece)


def _announce(name: str, target: Target, console: Console) -> None:
    shares = ", ".join(f"{x}: {share:.0%}" for x, share in target.share_met.items())
    console.print(
        f"{name}: target {target.seconds:.1f} s, kept by recorded runs with so many executors: {shares};"
        f" static in hindsight: {target.static_scale_out}."
    )
    if not target.separates:
        console.print(f"{name}: [yellow]no scale-out, all of them or the largest alone keep this target[/]")
