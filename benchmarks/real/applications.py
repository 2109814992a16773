"""What is run: five applications in three sizes each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

SCALE_OUTS = (1, 2, 3, 4, 5, 6)
MIDDLE_SIZE = 1

_BYTES_PER_NUMBER = 8


@dataclass(frozen=True)
class Size:
    """What an application is given to do."""

    arguments: tuple[str | int | float, ...]
    megabytes: int
    """Of the numbers that it makes and reads, eight bytes each, rounded up; of all its periods."""
    characteristics: str


@dataclass(frozen=True)
class Application:
    """One of the example programs."""

    name: str
    """Its `algorithm_name`."""
    sizes: tuple[Size, ...]
    """Ascending."""
    middle_job: int
    """After whose end something is done to a run, where anything is."""
    waits: bool
    """Whether its tasks wait as for remote storage, so that executors help on two cores."""


def _megabytes(numbers: int) -> int:
    return max(1, math.ceil(numbers * _BYTES_PER_NUMBER / 1e6))


def _kmeans(partitions: int) -> Size:
    """More data is more partitions, as of files in a distributed file system."""
    points, dimensions = 10_000 * partitions, 4
    arguments = ("--iterations", 9, "--partitions", partitions, "--points", points)
    waiting = ("--read-seconds-per-partition", 0.3)
    said = f"{points} points, {dimensions} dimensions, {partitions} partitions"
    return Size((*arguments, *waiting), _megabytes(points * dimensions), said)


def _sales(partitions: int) -> Size:
    periods, sales, columns = 3, 5_000 * partitions, 5
    arguments = ("--periods", periods, "--sales", sales, "--partitions", partitions)
    waiting = ("--read-seconds-per-partition", 0.3)
    said = f"{periods} periods of {sales} sales in {partitions} partitions, 4000 customers, 200 products"
    return Size((*arguments, *waiting), _megabytes(periods * sales * columns), said)


def _learning(points: int, dimensions: int, iterations: int) -> Size:
    """Rows of so many features and a label."""
    arguments = ("--points", points, "--dimensions", dimensions, "--iterations", iterations)
    said = f"{points} rows, {dimensions} features"
    return Size(arguments, _megabytes(points * (dimensions + 1)), said)


APPLICATIONS: Mapping[str, Application] = {
    each.name: each
    for each in (
        Application("KMeans", tuple(map(_kmeans, (8, 12, 18))), middle_job=4, waits=True),
        Application("Sales", tuple(map(_sales, (6, 9, 14))), middle_job=12, waits=True),
        Application(
            "LogisticRegression",
            tuple(_learning(points, 20, 30) for points in (30_000, 60_000, 120_000)),
            middle_job=12,
            waits=False,
        ),
        Application(
            "MPC",
            tuple(_learning(points, 10, 30) for points in (15_000, 30_000, 60_000)),
            middle_job=14,
            waits=False,
        ),
        Application(
            "GradientBoostedTrees",
            tuple(_learning(points, 10, 6) for points in (10_000, 20_000, 40_000)),
            middle_job=14,
            waits=False,
        ),
    )
}
