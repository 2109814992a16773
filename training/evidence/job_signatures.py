"""What a Spark job is, whatever its id: its stages by lasting names, their order and tasks, and its end.

Numpy only. Axes: A and B jobs.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from training.evidence.stage_names import lasting_name
from training.history.values import JobRecord
from training.statistics.arrays import Floats

TASKS_COUNT = 0.45
"""How far the number of tasks counts: it follows the data, and broadcasts differ in little else."""

ACTION_COUNTS = 0.4
"""How far the last stage's name counts."""

_KEPT = "_signature"
"""Beside the fields of a job: no part of what it is equal to, or stored as."""

UNKNOWN_ALIKE = 0.55
"""Similarity of a job without recorded stages to one with some: it may be the same."""

UNREPORTED_ALIKE = 0.2
"""Similarity of a job of which nothing but its id is known to any: it takes the place that is left to it, and
the place of none that is known."""


@dataclass(frozen=True)
class JobSignature:
    """What two jobs have in common that do the same work."""

    names: tuple[str, ...] = ()
    """Lasting names of the stages that ran, in order of their ids."""
    tasks: tuple[int, ...] = ()
    """Their numbers of tasks."""
    parents: tuple[tuple[int, ...], ...] = ()
    """Positions of their parents that ran."""
    failed: bool = False
    unreported: bool = False
    """Whether nothing is known but that it ran."""


UNREPORTED = JobSignature(unreported=True)


class TaskRange(NamedTuple):
    """Numbers of tasks that a job had in the runs that are known, inclusive."""

    fewest: int
    """Of all its stages."""
    most: int
    last_fewest: int
    """Of its last stage."""
    last_most: int


def fits(job: JobSignature, tasks: TaskRange) -> bool:
    """Whether a job has as many tasks as one had before."""
    last = sum(job.tasks[-1:])
    return tasks.fewest <= sum(job.tasks) <= tasks.most and tasks.last_fewest <= last <= tasks.last_most


def signature_of(job: JobRecord) -> JobSignature:
    """Signature of a finished job; kept with it, as it is asked for several times."""
    kept = vars(job)
    if _KEPT not in kept:
        kept[_KEPT] = _signature_of(job)
    signature: JobSignature = kept[_KEPT]
    return signature


def _signature_of(job: JobRecord) -> JobSignature:
    stages = sorted(job.stages, key=lambda stage: stage.stage_id)
    position = {stage.stage_id: index for index, stage in enumerate(stages)}
    return JobSignature(
        tuple(lasting_name(stage.name) for stage in stages),
        tuple(max(stage.num_tasks, 0) for stage in stages),
        tuple(
            tuple(sorted({position[parent] for parent in stage.parent_ids if parent in position}))
            for stage in stages
        ),
        job.failed,
    )


def similarities(
    left: Sequence[JobSignature], right: Sequence[JobSignature], tasks: Sequence[TaskRange] | None = None
) -> Floats:
    """How far jobs do the same work, 0 to 1, (A, B): 1 for equal ones, 0 where one failed and one did not.

    Only on the left there may be jobs that were not reported.

    Cosine of how often stages and steps from stage to stage occur, joined with whether the last stages, which
    Spark names by the action, are called alike; less where numbers of tasks differ, of all stages and of the
    last one. Spark skips stages whose output is still there, so that one job may lack what the other one has,
    but never the last one.

    Args:
        tasks: Numbers of tasks that the right ones had, (B,); within them, a left one's do not differ. None:
            those of their signatures alone.
    """
    tokens = [_tokens(signature) for signature in (*left, *right)]
    column = {token: index for index, token in enumerate(dict.fromkeys(_each(tokens)))}
    counts = np.zeros((len(tokens), max(len(column), 1)), dtype=np.float32)
    for row, counted in enumerate(tokens):
        for token, count in counted.items():
            counts[row, column[token]] = count
    counts /= np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)
    a, b = counts[: len(left)], counts[len(left) :]
    alike = (1.0 - ACTION_COUNTS) * (a @ b.T).astype(np.float64)
    numbers: dict[tuple[str, ...], int] = {}
    actions = np.array([numbers.setdefault(each.names[-1:], len(numbers)) for each in (*left, *right)])
    alike += ACTION_COUNTS * (actions[: len(left), None] == actions[len(left) :])
    if tasks is None:
        tasks = [task_range(each.tasks, each.tasks) for each in right]
    near = np.maximum(
        _nearness([sum(each.tasks) for each in left], [(each.fewest, each.most) for each in tasks]),
        _nearness(
            [sum(each.tasks[-1:]) for each in left], [(each.last_fewest, each.last_most) for each in tasks]
        ),
    )
    alike *= 1.0 - TASKS_COUNT + TASKS_COUNT * near
    bare_a, bare_b = (np.array([not each.names for each in side], dtype=bool) for side in (left, right))
    alike[bare_a[:, None] != bare_b] = UNKNOWN_ALIKE
    alike[bare_a[:, None] & bare_b] = 1.0
    failed_a, failed_b = (np.array([each.failed for each in side], dtype=bool) for side in (left, right))
    alike[failed_a[:, None] != failed_b] = 0.0
    alike[[each.unreported for each in left]] = UNREPORTED_ALIKE
    return alike


def task_range(fewest: Sequence[int], most: Sequence[int]) -> TaskRange:
    """Range of a job from those of its stages, in order."""
    return TaskRange(sum(fewest), sum(most), sum(fewest[-1:]), sum(most[-1:]))


def _nearness(numbers: Sequence[int], ranges: Sequence[tuple[int, int]]) -> Floats:
    """1 for numbers (A,) within ranges (B,), as small as the ratio to the nearer end for others, (A, B)."""
    logs = np.log1p(np.array(numbers, dtype=np.float64))[:, None]
    ends = np.log1p(np.array(ranges, dtype=np.float64).reshape(-1, 2))
    return np.asarray(np.exp(-np.maximum(np.maximum(ends[:, 0] - logs, logs - ends[:, 1]), 0.0)))


def _tokens(signature: JobSignature) -> Counter[tuple[str, str]]:
    """Stages, and steps from parents to them, with how often they occur."""
    names = signature.names
    found = Counter((name, "") for name in names)
    for child, parents in enumerate(signature.parents):
        found.update((names[parent], names[child]) for parent in parents)
    return found


def _each(counters: Iterable[Counter[tuple[str, str]]]) -> Iterable[tuple[str, str]]:
    for counter in counters:
        yield from counter
