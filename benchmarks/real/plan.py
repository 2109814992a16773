"""Which runs are recorded, in which order: any prefix of it is balanced.

A seed decides on everything, and more runs only add to the end: what was recorded stays of use.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

import numpy as np

from benchmarks.real.applications import SCALE_OUTS

SIZES = 3
EVERY = 8
"""Of so many runs of an application, one each has an executor killed, a neighbour, and a rescaling."""


class Disturbance(StrEnum):
    NONE = "none"
    EXECUTOR_KILLED = "an executor killed"
    NEIGHBOUR = "a neighbour that takes one core"


@dataclass(frozen=True)
class PlannedRun:
    application: str
    number: int
    """Of the application's runs, from 0."""
    scale_out: int
    size: int
    """Index of the application's sizes."""
    disturbance: Disturbance = Disturbance.NONE
    rescale_to: int | None = None
    """Executors that the run is told to go on with in its middle; None: it keeps what it has."""


def plan(applications: Sequence[str], runs: int, seed: int) -> list[PlannedRun]:
    """So many runs of each application, one of each in turn."""
    generators = {name: _of_application(name, seed) for name in applications}
    order = np.random.default_rng([seed, 1])
    rounds = []
    for _ in range(runs):
        rounds += [next(generators[applications[index]]) for index in order.permutation(len(applications))]
    return rounds


def _of_application(name: str, seed: int) -> Iterator[PlannedRun]:
    generator = np.random.default_rng([seed, 2, *name.encode()])
    cells = _cells(generator)
    number = 0
    while True:
        killed, beside, rescaled = generator.permutation(EVERY)[:3]
        for position, (scale_out, size) in enumerate(islice(cells, EVERY)):
            others = [each for each in SCALE_OUTS if each != scale_out]
            disturbance = {killed: Disturbance.EXECUTOR_KILLED, beside: Disturbance.NEIGHBOUR}.get(
                position, Disturbance.NONE
            )
            to = int(generator.choice(others)) if position == rescaled else None
            yield PlannedRun(name, number, scale_out, size, disturbance, to)
            number += 1


def _cells(generator: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Scale-outs and sizes: every six runs have each scale-out once and each size twice, and every
    eighteen have all pairs."""
    while True:
        shifts = generator.permutation(SIZES)
        for shift in shifts:
            for index in generator.permutation(len(SCALE_OUTS)):
                yield SCALE_OUTS[index], int(index + shift) % SIZES
