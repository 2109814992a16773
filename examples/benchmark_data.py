"""Data of the benchmark algorithms: generated, written as text, and read again.

One row is a label and an array of features. As text it is a line of numbers, the label first;
they may be separated by commas or blanks, so that data sets of earlier experiments can be read.

Everything here is Spark SQL, computed in the executors' JVMs: no Python runs there, and gigabytes
are generated as fast as they are written. The same seed and number of partitions give the same rows.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

CLASSES = 3
"""Of the generated data for classification."""

CENTRES = 5
"""Of the generated data for clustering; also what kmeans.py looks for."""

_DECIMALS = 6
_WRONG_LABELS = 0.05
_TRAINING_TENTHS = 8


@dataclass(frozen=True)
class Size:
    """How much is generated, how it is cut, and from which seed."""

    points: int
    dimensions: int
    partitions: int
    seed: int


Generator = Callable[[SparkSession, Size], DataFrame]
"""Makes rows with `label` (double) and `features` (array of doubles)."""


# --- generating ---------------------------------------------------------------------------------


def kmeans_data(spark: SparkSession, size: Size) -> DataFrame:
    """Points around centres that lie apart; the label is the centre's number."""
    centres = np.random.default_rng(size.seed).uniform(-10.0, 10.0, (CENTRES, size.dimensions))
    return _around(spark, size, centres, wrong_labels=0.0)


def logistic_regression_data(spark: SparkSession, size: Size) -> DataFrame:
    """One cloud per class, close enough to overlap; some labels are wrong."""
    return _around(spark, size, _apart(size, 4.0), wrong_labels=_WRONG_LABELS)


def mpc_data(spark: SparkSession, size: Size) -> DataFrame:
    """Two clouds per class at opposite places, which no linear model can tell apart."""
    centres = _apart(size, 6.0)
    return _around(spark, size, np.concatenate([centres, -centres]), wrong_labels=_WRONG_LABELS)


def gradient_boosted_trees_data(spark: SparkSession, size: Size) -> DataFrame:
    """Uniform features, of which five decide on a label that is not linear in them.

    Source: Friedman, Multivariate Adaptive Regression Splines, 1991, section 4.3.
    """
    if size.dimensions < 5:
        raise SystemExit("data for GradientBoostedTrees needs at least 5 dimensions")
    noise, *seeds = _seeds(size.seed, 1 + size.dimensions)
    features = F.array(*[F.round(F.rand(seed), _DECIMALS) for seed in seeds])
    x = [F.col("features")[index] for index in range(5)]
    label = 10 * F.sin(np.pi * x[0] * x[1]) + 20 * (x[2] - 0.5) ** 2 + 10 * x[3] + 5 * x[4]
    rows = _numbers(spark, size).select(features.alias("features"))
    return rows.select(F.round(label + F.randn(noise), _DECIMALS).alias("label"), "features")


GENERATORS: dict[str, Generator] = {
    "KMeans": kmeans_data,
    "LogisticRegression": logistic_regression_data,
    "MPC": mpc_data,
    "GradientBoostedTrees": gradient_boosted_trees_data,
}


def _apart(size: Size, distance: float) -> np.ndarray:
    """A centre per class, (CLASSES, dimensions), about `distance` standard deviations from each other."""
    directions = np.random.default_rng(size.seed).normal(size=(CLASSES, size.dimensions))
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(directions / lengths * distance / np.sqrt(2))


def _around(spark: SparkSession, size: Size, centres: np.ndarray, wrong_labels: float) -> DataFrame:
    """Points at unit distance from centres; beyond CLASSES centres, their classes start anew."""
    which, is_wrong, instead, *seeds = _seeds(size.seed, 3 + size.dimensions)
    classes = len(centres) if wrong_labels == 0 else CLASSES
    centre = F.floor(F.rand(which) * len(centres)).cast("int")
    label = F.when(F.rand(is_wrong) < wrong_labels, F.floor(F.rand(instead) * classes)).otherwise(
        F.col("centre") % classes
    )
    features = [
        F.round(_constants(coordinates)[F.col("centre")] + F.randn(seed), _DECIMALS)
        for coordinates, seed in zip(centres.T, seeds, strict=True)
    ]
    rows = _numbers(spark, size).select(centre.alias("centre"))
    return rows.select(label.cast("double").alias("label"), F.array(*features).alias("features"))


def _numbers(spark: SparkSession, size: Size) -> DataFrame:
    return spark.range(0, size.points, 1, size.partitions)


def _constants(values: np.ndarray) -> Column:
    return F.array(*[F.lit(float(value)) for value in values])


def _seeds(seed: int, count: int) -> list[int]:
    """A seed per column, far from each other.

    Spark adds the partition's number to a column's seed: with neighbouring seeds, one column's
    numbers would come again in the next partition of another.
    """
    return [
        int(state >> np.uint64(1)) for state in np.random.SeedSequence(seed).generate_state(count, np.uint64)
    ]


# --- text ---------------------------------------------------------------------------------------


def as_text(data: DataFrame, *, with_label: bool) -> DataFrame:
    """One column `value`, a line per row."""
    texts = F.concat_ws(",", F.col("features").cast("array<string>"))
    return data.select((F.concat_ws(",", "label", texts) if with_label else texts).alias("value"))


def read(spark: SparkSession, path: str, partitions: int) -> DataFrame:
    """Rows of text files, in at least that many partitions where Spark finds the files large enough."""
    spark.conf.set("spark.sql.files.minPartitionNum", str(partitions))
    numbers = F.split(F.trim("value"), r"[,\s]+").cast("array<double>")
    lines = spark.read.text(path).where(F.trim("value") != "").select(numbers.alias("numbers"))
    rest = F.slice("numbers", F.lit(2), F.size("numbers") - 1)
    return lines.select(F.col("numbers")[0].alias("label"), rest.alias("features"))


# --- what the programs share --------------------------------------------------------------------


def add_data_arguments(parser: argparse.ArgumentParser, points: int, dimensions: int) -> None:
    parser.add_argument("--input", help="text files to learn from; without them, data is generated")
    parser.add_argument("--partitions", type=positive, default=4, help="tasks of a stage")
    parser.add_argument("--points", type=positive, default=points, help="rows to generate")
    parser.add_argument("--dimensions", type=positive, default=dimensions, help="features to generate")
    parser.add_argument("--seed", type=int, default=0, help="of the generated data and of the training")


def training_and_test_data(
    spark: SparkSession, arguments: argparse.Namespace, generator: Generator
) -> tuple[DataFrame, DataFrame]:
    """What `add_data_arguments` describes, its features as vectors; about a fifth is held out.

    A row's content decides where it goes, so that no run and no partitioning changes it.
    """
    if arguments.input:
        data = read(spark, arguments.input, arguments.partitions)
    else:
        size = Size(arguments.points, arguments.dimensions, arguments.partitions, arguments.seed)
        data = generator(spark, size)
    tenth = F.pmod(F.xxhash64("label", "features"), F.lit(10))
    parts = data.where(tenth < _TRAINING_TENTHS), data.where(tenth >= _TRAINING_TENTHS)
    training, test = (part.select("label", array_to_vector("features").alias("features")) for part in parts)
    return training, test


def positive(text: str) -> int:
    """The type of a command line argument."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
