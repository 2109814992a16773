"""Runs of a made-up application with several kinds of jobs, and what may befall one of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.history.values import JobRecord, RunContext, RunRecord, StageRecord

CONTEXT = RunContext("Report", ("--day", "7"), 4096)

CANDIDATES = tuple(range(1, 9))

THREAD_POOL = "$anonfun$withThreadLocalCaptured$2 at CompletableFuture.java:1768"


@dataclass(frozen=True)
class Kind:
    """A job as it is to be: names of its stages with numbers of tasks, and seconds with one executor."""

    stages: tuple[tuple[str, int], ...]
    seconds: float
    failed: bool = False
    retried: bool = False
    fixed_seconds: float | None = None
    """Seconds whatever the scale-out."""
    beside: bool = False
    """Whether it starts with the one before, from another thread."""


def place(name: str, line: int) -> str:
    """Call site in a main file that came by URL."""
    return f"{name} at /tmp/spark-<uuid>/app.py:{line}"


LOAD = Kind(((place("parquet", 3), 1),), 2.0)
BROADCASTS = tuple(
    Kind(((THREAD_POOL, tasks),), seconds, beside=True) for tasks, seconds in ((1, 2.0), (6, 5.0), (20, 12.0))
)
ITERATION = Kind(((place("map", 9), 24), (place("reduceByKey", 10), 24), (place("collect", 11), 12)), 24.0)
TAKE = Kind(((place("take", 15), 1),), 0.6)
SORT = Kind(((place("sortBy", 17), 24),), 6.0)
SAVE = Kind(((place("join", 19), 24), (place("save", 20), 48)), 40.0)
REGULAR = (LOAD, *BROADCASTS, *(ITERATION,) * 5, TAKE, SORT, SAVE)

ALIKE = tuple(replace(kind, stages=((THREAD_POOL, 1),)) if kind.beside else kind for kind in REGULAR)
"""The same, but its broadcasts cannot be told apart."""

Oddness = Callable[[list[Kind], np.random.Generator], list[Kind]]


def failed_job(jobs: list[Kind], random: np.random.Generator) -> list[Kind]:
    """One job fails after a second; the next one does its work."""
    at = int(random.integers(1, len(jobs)))
    failure = replace(jobs[at], failed=True, fixed_seconds=1.0)
    return [*jobs[:at], failure, *jobs[at:]]


def two_cancelled_jobs(jobs: list[Kind], random: np.random.Generator) -> list[Kind]:
    """Two jobs are cancelled, and sent again."""
    return failed_job(failed_job(jobs, random), random)


def another_broadcast_order(jobs: list[Kind], random: np.random.Generator) -> list[Kind]:
    """Threads number their jobs in another order."""
    order = [(1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0), (2, 0, 1)][int(random.integers(5))]
    return [jobs[0], *(jobs[1 + which] for which in order), *jobs[4:]]


def another_broadcast(jobs: list[Kind], random: np.random.Generator) -> list[Kind]:
    """Another table is broadcast, and its join does without one of the others."""
    return [*jobs[:3], Kind(((THREAD_POOL, 400),), 14.0, beside=True), *jobs[4:]]


def fewer_jobs(jobs: list[Kind], random: np.random.Generator) -> list[Kind]:
    """The data lets one iteration and a `take` fall away."""
    return [*jobs[:7], jobs[8], *jobs[10:]]


def more_jobs(jobs: list[Kind], random: np.random.Generator) -> list[Kind]:
    """`take` looks at more partitions in further jobs; `sortBy` samples."""
    more = [Kind(((place("take", 15), tasks),), 1.0) for tasks in (4, 20)]
    return [*jobs[:10], *more, replace(SORT, seconds=1.5), *jobs[10:]]


def retried_stage(jobs: list[Kind], random: np.random.Generator) -> list[Kind]:
    """A stage loses its input, and is tried again."""
    at = int(random.integers(4, 9))
    return [*jobs[:at], replace(jobs[at], retried=True), *jobs[at + 1 :]]


def job_twice(jobs: list[Kind], random: np.random.Generator) -> list[Kind]:
    """One job's work is done twice, as by a program that lost its result."""
    at = int(random.integers(4, 9))
    return [*jobs[:at], jobs[at], *jobs[at:]]


def job_in_two(jobs: list[Kind], random: np.random.Generator) -> list[Kind]:
    """The last job's work is shared between two."""
    half = 0.5 * jobs[-1].seconds
    return [*jobs[:-1], replace(jobs[-1], seconds=half), replace(jobs[-1], seconds=half + 0.001)]


ODDNESSES: tuple[Oddness, ...] = (
    failed_job,
    two_cancelled_jobs,
    another_broadcast_order,
    another_broadcast,
    fewer_jobs,
    more_jobs,
    retried_stage,
    job_twice,
)


def make_odd_run(
    number: int,
    scale_out: int,
    seed: int = 0,
    oddness: Oddness | None = None,
    regular: Sequence[Kind] = REGULAR,
) -> RunRecord:
    """One run at a constant scale-out; the same seed and number give the same times for the same jobs."""
    kinds, noise = list(regular), 0.03
    if oddness is not None:
        kinds = oddness(kinds, np.random.default_rng((seed, number, 1)))
    random = np.random.default_rng((seed, number))
    drift = float(np.exp(0.5 * noise * random.standard_normal()))
    usual = [(kind.seconds, count) for kind, count in _counted(regular)]
    factors = {job: float(np.exp(noise * random.standard_normal())) for job in usual}
    uuid = f"{int(random.integers(1 << 62)):032x}"
    folder = f"{uuid[:8]}-{uuid[8:12]}-{uuid[12:16]}-{uuid[16:20]}-{uuid[20:]}"
    clock, begun, stage_id, before, jobs = 3.0, 0.0, 0, LOAD, []
    for job_id, (kind, count) in enumerate(_counted(kinds)):
        seconds = (0.15 * kind.seconds + 0.85 * kind.seconds / scale_out) * drift
        seconds *= factors.get((kind.seconds, count), 1.0)
        seconds = kind.fixed_seconds or seconds + (25.0 if kind.retried else 0.0)
        begun = begun + 0.01 if kind.beside and before.beside else clock
        begin, before, stages = begun + 0.02, kind, []
        for index, (name, tasks) in enumerate(kind.stages):
            again = kind.retried and index == 0
            runtime = (seconds - 0.05) / len(kind.stages)
            stages.append(
                StageRecord(
                    stage_id, name.replace("<uuid>", folder), 3 if again else tasks,
                    (stage_id - 1,) if index else (), begin, runtime, scale_out, scale_out, 0.0, None,
                    attempt=int(again),
                )
            )  # fmt: skip
            begin, stage_id = begin + runtime, stage_id + 1
        jobs.append(JobRecord(job_id, begun, seconds, scale_out, scale_out, 0.0, tuple(stages), kind.failed))
        clock = max(clock, begun + seconds + 0.1)
    return RunRecord(f"run-{number}", CONTEXT, 1_700_000_000.0 + 1000 * number, tuple(jobs), clock + 0.5)


def _counted(kinds: Sequence[Kind]) -> list[tuple[Kind, int]]:
    """Jobs with how many like them have come before; failed ones are not counted."""
    seen: dict[float, int] = {}
    found = []
    for kind in kinds:
        found.append((kind, seen.get(kind.seconds, 0)))
        seen[kind.seconds] = seen.get(kind.seconds, 0) + (not kind.failed)
    return found


def make_odd_history(
    seed: int,
    oddness: Oddness | None,
    at: int = 2,
    scale_outs: Sequence[int] = (2, 4, 3, 6),
    regular: Sequence[Kind] = REGULAR,
) -> list[RunRecord]:
    """Runs of which the one at a position is odd, if any."""
    return [
        make_odd_run(number, scale_out, seed, oddness if number == at else None, regular)
        for number, scale_out in enumerate(scale_outs)
    ]
