"""Runs with a runtime target, by one policy after the other on the same machine.

Policies that the service decides by learn from the recordings, which are imported, and for which a model is
trained with the same seed in every sitting; and from the runs that they steered themselves, those of earlier
sittings included. Each has a history of its own, under a name of its own for the application. Nothing is
trained later.

The order of the policies is drawn anew in each round, and so is which of five rounds loses an executor. An
application that does not complete has missed its target, and is not run again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console

from app.client.client import Client
from benchmarks.real.applications import APPLICATIONS, MIDDLE_SIZE, Application
from benchmarks.real.plan import Disturbance, PlannedRun
from benchmarks.real.platform import DYNAMIC_ALLOCATION as ITS_DEFAULTS
from benchmarks.real.platform import (
    SHORT_TIMEOUTS,
    Interference,
    Json,
    Measured,
    Platform,
    RunFailed,
    algorithm_of,
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

LEARNERS = {OURS: "ours", "static 0.9": "margin", "Ellis": "ellis"}
"""Policies that learn, and what the application is called in the history of each."""

_FIXED = "fixed"
"""The same of the static choice, which learns nothing and teaches nobody."""

Submit = Callable[[Platform, Application, Interference, Target], Measured]


def _by_service(solution_name: str, learner: str) -> Submit:
    """The service chooses what to start with, and what to go on with."""

    def submit(
        platform: Platform, application: Application, interference: Interference, target: Target
    ) -> Measured:
        body = submission(application.name, application.sizes[MIDDLE_SIZE], learner)
        body["global_specs"] |= {"solution_name": solution_name, "max_runtime": target.seconds}
        return platform.submit({**body, "initial_scale_out_policy": "predicted"}, interference)

    return submit


def _from_recordings(
    platform: Platform, application: Application, interference: Interference, target: Target
) -> Measured:
    body = submission(application.name, application.sizes[MIDDLE_SIZE], _FIXED)
    body["global_specs"] |= {"solution_name": "static", "max_runtime": target.seconds}
    body["worker_specs"] = {**body["worker_specs"], "scale_out": target.static_scale_out}
    return platform.submit({**body, "initial_scale_out_policy": "requested"}, interference)


def _by_spark(allocation: Mapping[str, str]) -> Submit:
    def submit(
        platform: Platform, application: Application, interference: Interference, target: Target
    ) -> Measured:
        body = submission(application.name, application.sizes[MIDDLE_SIZE])
        return platform.submit_to_spark(body, interference, allocation)

    return submit


POLICIES: Mapping[str, Submit] = {
    OURS: _by_service("enel", LEARNERS[OURS]),
    DYNAMIC_ALLOCATION: _by_spark(ITS_DEFAULTS),
    f"{DYNAMIC_ALLOCATION}, short timeouts": _by_spark(SHORT_TIMEOUTS),
    "static, from recordings": _from_recordings,
    "static 0.9": _by_service("static_margin", LEARNERS["static 0.9"]),
    "Ellis": _by_service("ellis", LEARNERS["Ellis"]),
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
        """Of every five numbers one, drawn by the block that they are in."""
        block, place = divmod(self.number, KILLED_EVERY)
        return place == int(np.random.default_rng([_SEED, 1, block]).integers(KILLED_EVERY))


_SEED = 0
"""Of the order of policies, and of the runs in which executors are killed."""


def loop_plan(applications: Sequence[str], runs: int) -> Iterator[LoopPlan]:
    """All policies in each round, in an order that is drawn for it."""
    policies = list(POLICIES)
    for number in range(runs):
        order = np.random.default_rng([_SEED, 2, number]).permutation(len(policies))
        for policy in (policies[index] for index in order):
            for application in applications:
                yield LoopPlan(application, policy, number)


def loop_runs(store: Store, application: str) -> list[LoopRun]:
    return [LoopRun.of(document) for document in store.documents(application)]


def failures(store: Store, application: str) -> Counter[str]:
    """Runs of each policy that did not complete."""
    return Counter(document["policy"] for document in _failed(store).documents(application))


def _failed(store: Store) -> Store:
    return Store(store.folder / "failed")


def left_over(planned: Sequence[LoopPlan], store: Store) -> list[LoopPlan]:
    """Runs that are neither measured nor failed yet."""
    names = {each.application for each in planned}
    known = {(name, run.policy, run.number) for name in names for run in loop_runs(store, name)}
    known |= {
        (name, document["policy"], document["number"])
        for name in names
        for document in _failed(store).documents(name)
    }
    return [each for each in planned if (each.application, each.policy, each.number) not in known]


def loop(
    recorded: Store, store: Store, applications: Sequence[str], runs: int, trials: int, console: Console
) -> None:
    """Measure what is left.

    Raises:
        SystemExit: There are too few recordings, or others than in the sittings before, or one run after the
            other fails.
        NotReady: The service did not come up.
    """
    history = {name: recordings(recorded, name) for name in applications}
    targets = {name: target_of(found) for name, found in history.items()}
    for name, target in targets.items():
        _check_conditions(store, name, target, history[name], trials)
    for name, target in targets.items():
        _announce(name, target, console)
    planned = list(loop_plan(applications, runs))
    left = left_over(planned, store)
    console.print(f"{len(planned) - len(left)} of {len(planned)} runs of the loop are measured.")
    if not left:
        return

    def run(planned: LoopPlan) -> str:
        platform.settle()
        found = run_one(platform, planned, targets[planned.application])
        store.add(planned.application, found.document())
        seconds, used = found.recording.runtime_seconds, found.recording.executor_seconds
        outcome = f"{seconds:.1f} of {found.target_seconds:.1f} s ({'met' if found.met else 'missed'})"
        return f"{outcome}, {used:.0f} executor-seconds, {found.rescalings} rescalings"

    def failed(planned: LoopPlan, failure: RunFailed) -> None:
        said = {"policy": planned.policy, "number": planned.number, "reason": str(failure)[:300]}
        _failed(store).add(planned.application, said)

    with running_platform() as platform:
        for name in sorted({each.application for each in left}):
            earlier = loop_runs(store, name)
            for policy, learner in LEARNERS.items():
                own = [run for run in earlier if run.policy == policy]
                _learn(platform.client, algorithm_of(name, learner), history[name], own, trials, console)
        warm_up(platform)
        carry_out(left, _name, run, console, failed)


def _check_conditions(
    store: Store, name: str, target: Target, history: Sequence[Recording], trials: int
) -> None:
    """Raises SystemExit where runs that are stored already had another target, history or training."""
    pieces = json.dumps([each.piece for each in history], sort_keys=True).encode()
    conditions = {
        "target_seconds": target.seconds,
        "static_scale_out": target.static_scale_out,
        "recordings": len(history),
        "sha256": hashlib.sha256(pieces).hexdigest(),
        "trials": trials,
    }
    path = store.folder / f"{name}.conditions.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(conditions, indent=2) + "\n")
    elif (before := json.loads(path.read_text())) != conditions:
        differing = ", ".join(key for key, value in conditions.items() if before.get(key) != value)
        raise SystemExit(f"{name}: {path} has other conditions ({differing}): take another --loop.")


def _name(planned: LoopPlan) -> str:
    return f"{planned.application} {planned.number}, {planned.policy}"


def run_one(platform: Platform, planned: LoopPlan, target: Target) -> LoopRun:
    """Carry one out. Raises RunFailed."""
    application: Application = APPLICATIONS[planned.application]
    disturbance = Disturbance.EXECUTOR_KILLED if planned.executor_killed else Disturbance.NONE
    interference = Interference(disturbance, application.middle_job)
    measured = POLICIES[planned.policy](platform, application, interference, target)
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
    algorithm: str,
    history: Sequence[Recording],
    steered: Sequence[LoopRun],
    trials: int,
    console: Console,
) -> None:
    """Have one learner know what is recorded, train its model on that, and know the runs that it steered."""
    for recording in history:
        client.import_run(_of(algorithm, recording))
    console.print(f"{algorithm}: {len(history)} recorded runs are imported; a model is trained.")
    started = client.start_training(algorithm, experiment_name="real-runs", trials=trials)
    *_, training = client.follow_training(started["training_id"])
    if training["state"] != "SUCCEEDED":
        raise SystemExit(f"{algorithm}: the training ended as {training['state']}: {training['detail']}")
    client.preload(algorithm)
    for run in steered:
        client.import_run(_of(algorithm, run.recording))


def _of(algorithm: str, recording: Recording) -> Json:
    """A recorded run as one of an algorithm's own: the same run may belong to several."""
    piece = recording.piece
    specs, started = piece["specs"], piece["started"]
    known = {**specs["global_specs"], "algorithm_name": algorithm}
    application_id = f"{algorithm}-{started['application_id']}"
    return {
        **piece,
        "specs": {**specs, "global_specs": known},
        "started": {**started, "application_id": application_id},
    }


def _announce(name: str, target: Target, console: Console) -> None:
    shares = ", ".join(f"{x}: {share:.0%}" for x, share in target.share_met.items())
    console.print(
        f"{name}: target {target.seconds:.1f} s, kept by recorded runs with so many executors: {shares};"
        f" static in hindsight: {target.static_scale_out}."
    )
    if not target.separates:
        console.print(
            f"{name}: [yellow]nothing is to choose: the smallest scale-out or the largest is best[/]"
        )
