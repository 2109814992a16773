"""Contexts as numbers: mappings of features, of whatever names, encoded by what earlier runs show.

Numpy only. Axes: P points, F numeric features, C categories.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from training.context_model.data_size import shortage
from training.statistics.arrays import Bools, Floats, Ints

Feature = float | int | str | bool | None
Context = Mapping[str, Feature]

_STORED = {"stds": "spread"}
"""What fields are called in JSON, where that differs."""

MIN_STD = 0.2
"""Standard deviation that a feature is taken to have at least: ln 1.2, or a fifth of its largest value."""

MIN_SIZE_STD = 0.4
"""The same of a size of the data: what is known of half of it holds for all of it, for the most part."""

MAX_LOG = 60.0
"""Bound of a log feature; keeps absurd values finite."""


class Points(NamedTuple):
    """Points at which runtimes are known or wanted, encoded."""

    numeric: Floats
    """Logs of positive features, others by their largest value, logs beyond it; centred, (P, F)."""
    categories: Ints
    """Codes, (P, C); a value that no earlier run had is -1 and equals nothing."""
    context: Ints
    """Number of the context, (P,); -1 for one that no earlier run had."""
    log_scale_out: Floats
    """Effective: in executors of average resources, (P,)."""
    spot: Ints
    """Number of the context and scale-out, (P,); -1 for one that no earlier run had."""
    log_size: Floats
    """Of the data, over the usual size, (P,)."""
    shortage: Floats
    """Of memory for the data, (P,): from 0, where there is enough, to 1."""


@dataclass(frozen=True)
class Encoding:
    """Encoding of contexts as numbers; JSON-able by `to_json`."""

    numeric: tuple[str, ...]
    logarithmic: tuple[bool, ...]
    center: tuple[float, ...]
    unit: tuple[float, ...]
    """Divisors of values, before the centre is taken off; 1 for logs."""
    stds: tuple[float, ...]
    """Standard deviation over the earlier contexts, (F,)."""
    categories: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    """Values of each category; the position is the code."""
    resources: tuple[int, ...]
    """Indices of numeric features that are resources that every executor adds."""
    sizes: tuple[int, ...]
    """Indices of numeric features that are sizes of the data."""
    share_resources: bool = True
    memory: tuple[int, ...] = ()
    """Indices of numeric features that are an executor's memory, in the unit of the sizes."""

    @classmethod
    def of(
        cls,
        contexts: Sequence[Context],
        resources: Collection[str] = (),
        sizes: Collection[str] = (),
        share_resources: bool = True,
        memory: Collection[str] = (),
    ) -> "Encoding":
        """Learn from earlier contexts which features are numbers, and their range."""
        distinct, row_of = _distinct(contexts)
        names = sorted({name for context in distinct for name in context})
        numeric: list[tuple[str, bool, float, float, float]] = []
        categories: list[tuple[str, tuple[str, ...]]] = []
        for name in names:
            present = {row: each[name] for row, each in enumerate(distinct) if each.get(name) is not None}
            numbers = {
                row: number for row, each in present.items() if (number := as_number(each)) is not None
            }
            if not present:
                continue
            if len(numbers) < len(present):
                known = set(map(str, present.values()))
                if len(present) < len(distinct):
                    known.add(str(None))  # to have none is a value like others
                categories.append((name, tuple(sorted(known))))
                continue
            log = min(numbers.values()) > 0
            unit = 1.0 if log else max(map(abs, numbers.values())) or 1.0
            scaled = {row: _scaled(number, log, unit) for row, number in numbers.items()}
            values = np.array([scaled[row] for row in row_of if row in scaled])
            numeric.append(
                (
                    name,
                    log,
                    float(values.mean()),
                    unit,
                    max(float(values.std()), MIN_SIZE_STD if name in sizes else MIN_STD),
                )
            )
            if len(present) < len(distinct):
                categories.append((_presence(name), ("False", "True")))
        kept = [entry[0] for entry in numeric]
        return cls(
            numeric=tuple(kept),
            logarithmic=tuple(entry[1] for entry in numeric),
            center=tuple(entry[2] for entry in numeric),
            unit=tuple(entry[3] for entry in numeric),
            stds=tuple(entry[4] for entry in numeric),
            categories=tuple(name for name, _ in categories),
            values=tuple(values for _, values in categories),
            resources=tuple(i for i, e in enumerate(numeric) if e[0] in resources and e[1]),
            sizes=tuple(i for i, e in enumerate(numeric) if e[0] in sizes and e[1]),
            share_resources=share_resources,
            memory=tuple(i for i, e in enumerate(numeric) if e[0] in memory and e[1]),
        )

    def encode(self, contexts: Sequence[Context]) -> tuple[Floats, Ints]:
        """Encode contexts as numbers (P, F) and codes (P, C); a missing number counts as the average."""
        distinct, row_of = _distinct(contexts)
        numeric = np.zeros((len(distinct), len(self.numeric)))
        codes = np.full((len(distinct), len(self.categories)), -1, dtype=np.int64)
        table = [{value: code for code, value in enumerate(values)} for values in self.values]
        columns = list(zip(self.numeric, self.logarithmic, self.unit, self.center, strict=True))
        for row, context in enumerate(distinct):
            for column, (name, log, unit, center) in enumerate(columns):
                number = as_number(context.get(name))
                if number is not None:
                    numeric[row, column] = _scaled(number, log, unit) - center
            for column, name in enumerate(self.categories):
                codes[row, column] = table[column].get(self._category(context, name), -1)
        return numeric[row_of], codes[row_of]

    def _category(self, context: Context, name: str) -> str:
        if name.endswith("?") and name[:-1] in self.numeric:
            return str(as_number(context.get(name[:-1])) is not None)
        return str(context.get(name))

    def log_effective(self, numeric: Floats, scale_outs: Floats) -> Floats:
        """Log scale-out in executors of average resources, (P,).

        An executor with twice of everything counts as two; with several resources, each as its share.
        """
        log_scale_out = np.log(scale_outs)
        if not self.resources or not self.share_resources:
            return np.asarray(log_scale_out)
        return np.asarray(log_scale_out + numeric[:, list(self.resources)].mean(axis=1))

    def log_size(self, numeric: Floats) -> Floats:
        """Log of the data size over the usual one, (P,)."""
        return np.asarray(numeric[:, list(self.sizes)].mean(axis=1) if self.sizes else np.zeros(len(numeric)))

    def shortage(self, numeric: Floats, scale_outs: Floats) -> Floats:
        """Shortage of the executors' memory for the data, (P,); none where either is unknown."""
        if not self.knows_memory:
            return np.zeros(len(numeric))
        memory, size = (
            (numeric + self.center)[:, list(columns)].mean(axis=1) for columns in (self.memory, self.sizes)
        )
        return shortage(np.log(scale_outs) + memory - size)

    @property
    def knows_memory(self) -> bool:
        """Whether there are memory and sizes in one unit."""
        return bool(self.memory and self.sizes)

    def environment(self, numeric: Floats, categories: Floats) -> Bools:
        """Whether features tell machines apart: resources, and categories that determine them, (F + C,).

        Where all machines have the same, nothing is determined; nor is it by values that hardly any two
        contexts share, such as paths of outputs.
        """
        resources = np.zeros(len(self.numeric), dtype=bool)
        resources[list(self.resources)] = True
        contexts = np.unique(np.concatenate([numeric, categories], axis=1), axis=0)
        amounts = contexts[:, : len(self.numeric)][:, resources]
        machines = len(np.unique(amounts.round(9), axis=0))

        def determines(column: Floats) -> bool:
            values = np.unique(column)
            if len(values) == len(column) > machines:
                return False
            return all(np.ptp(amounts[column == value], axis=0).max() < 1e-9 for value in values)

        determine = [
            machines > 1 and bool(resources.any()) and determines(column)
            for column in contexts[:, len(self.numeric) :].T
        ]
        return np.concatenate([resources, np.array(determine, dtype=bool)])

    def to_json(self) -> dict[str, Any]:
        """Values by the names that files have for them."""
        return {_STORED.get(name, name): getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Encoding":
        """Read what `to_json` wrote, also after it has been JSON."""
        names = {stored: name for name, stored in _STORED.items()}
        tuples = {
            names.get(key, key): tuple(each) for key, each in values.items() if key != "share_resources"
        }
        tuples["values"] = tuple(tuple(entry) for entry in values["values"])
        return cls(**tuples, share_resources=bool(values["share_resources"]))


def _distinct(contexts: Sequence[Context]) -> tuple[list[Context], list[int]]:
    """Contexts that differ, and which of them each one is: runs of one application share a few."""
    rows: dict[tuple[tuple[str, str, Feature], ...], int] = {}
    keys = [tuple((name, type(each).__name__, each) for name, each in c.items()) for c in contexts]
    row_of = [rows.setdefault(key, len(rows)) for key in keys]
    first = dict(zip(reversed(row_of), reversed(contexts), strict=True))
    return [first[row] for row in range(len(rows))], row_of


def as_number(value: object) -> float | None:
    """The finite number that a feature is or spells, if it is one; truth values are categories."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _presence(name: str) -> str:
    """Category that says whether a number is given, where some runs lack it."""
    return f"{name}?"


def _scaled(number: float, log: bool, unit: float) -> float:
    if log:
        return min(max(math.log(max(number, 1e-12)), -MAX_LOG), MAX_LOG)
    share = number / unit
    # A weight learned within the known range is no weight of what is a million times as large.
    return share if abs(share) <= 1.0 else math.copysign(1.0 + min(math.log(abs(share)), MAX_LOG), share)
