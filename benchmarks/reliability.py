"""Do said chances of meeting a target come true?

Forecasts are sorted by the chance that they said, and in each class the mean of what was said is compared
with how often it happened. Forecasts about one run share its fate: few runs say little, however many
forecasts there are. Whether executors are going to die in a run is known afterwards only: of forecasts that
are right about all runs together, those about runs in which they die promise too much, and those about the
others too little. What can be right beforehand is what all runs show.

Axes: P forecasts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.reporting import Bar, Section
from training.statistics.arrays import Bools, Floats

CLASSES = ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 0.97), (0.97, 1.0))
"""From, and below; a chance of 1 is in the last one."""

TOLERANCE = 0.05
"""Gap between what was said and what happened that is as good as none."""

MIN_FORECASTS = 30
"""Forecasts below which a class is not judged."""


@dataclass(frozen=True)
class Asked:
    """Forecasts that were asked for the chance of meeting a target, (P,) each."""

    chance: Floats
    """Said, 0 to 1."""
    met: Bools
    failure: Bools
    """Whether executors died in the run."""
    run: Floats
    """Number of the run, other ones in other applications."""


@dataclass(frozen=True)
class ChanceClass:
    """Forecasts that said about the same chance, at least one."""

    name: str
    forecasts: int
    runs: int
    said: float
    """Mean of the chances."""
    happened: float
    """Share that met its target."""


def joined(parts: Sequence[Asked]) -> Asked:
    """Forecasts about several applications or targets, as one."""
    return Asked(
        np.concatenate([part.chance for part in parts]),
        np.concatenate([part.met for part in parts]),
        np.concatenate([part.failure for part in parts]),
        np.concatenate([part.run for part in parts]),
    )


def chance_classes(asked: Asked, failure: bool | None = None) -> list[ChanceClass]:
    """Forecasts by what they said, of runs with failures, of the others or of all; without empty classes."""
    asked_of = np.ones(len(asked.run), bool) if failure is None else asked.failure == failure
    found = []
    for low, high in CLASSES:
        of = asked_of & (asked.chance >= low)
        of &= asked.chance <= high if high == 1.0 else asked.chance < high
        if of.any():
            name = f"{100 * low:.0f} to {100 * high:.0f}%"
            runs = len(np.unique(asked.run[of]))
            said, happened = float(asked.chance[of].mean()), float(asked.met[of].mean())
            found.append(ChanceClass(name, int(of.sum()), runs, said, happened))
    return found


def reliability(asked: Asked, title: str) -> tuple[Section, list[Bar]]:
    """Table of said chances and what happened, and whether they agree where there are enough forecasts."""
    rows, bars = [], []
    for failure, name in ((False, "normal"), (True, "failures"), (None, "all")):
        for of in chance_classes(asked, failure):
            rows.append(
                [name, of.name, str(of.forecasts), str(of.runs), f"{of.said:.1%}", f"{of.happened:.1%}"]
            )
            if of.forecasts >= MIN_FORECASTS:
                where = f"{title}, {name}: {of.name} said, off by"
                bars.append(Bar(where, abs(of.said - of.happened), TOLERANCE, percent=True))
    columns = ("runs", "said chance", "forecasts", "of runs", "mean said", "happened")
    return Section(title, columns, rows), bars
