"""K-means clustering whose tasks wait, as tasks do that read from remote storage.

Each task sleeps for `--read-seconds-per-partition` before it generates its points. That is on
purpose, and the only thing simulated here: with real computing, more executors would not make
this program faster on a machine with few cores. Waiting is what executors can really share
there: the tasks of a job with 12 partitions at half a second each wait 3 s in all with two
executors, and 1 s with six; starting tasks adds some tenths of a second of computing. Jobs,
stages, shuffles, scheduling and the clustering itself are real.

Needs no input: every task generates its own points from the seed, the same ones in every
iteration. With `--input` it reads points from text files in every iteration instead, and nothing is
simulated. Runs anywhere: `spark-submit --master 'local[2]' kmeans.py --iterations 3`.
"""

import argparse
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from pyspark import RDD
from pyspark.sql import SparkSession

ClusterSum = tuple[np.ndarray, int, float]
"""Of the points nearest to one centre: their sum, their number, their squared distances' sum."""


@dataclass(frozen=True)
class Dataset:
    """Points around hidden centres, generated where they are read."""

    points: int
    dimensions: int
    clusters: int
    partitions: int
    read_seconds_per_partition: float
    seed: int

    def read(self, partition: int) -> np.ndarray:
        """The points of one partition, (n, dimensions); always the same ones."""
        time.sleep(self.read_seconds_per_partition)
        hidden = np.random.default_rng(self.seed).uniform(-10.0, 10.0, (self.clusters, self.dimensions))
        generator = np.random.default_rng([self.seed, partition])
        count = self.points // self.partitions + (partition < self.points % self.partitions)
        around = hidden[generator.integers(self.clusters, size=count)]
        return around + generator.normal(0.0, 1.0, (count, self.dimensions))


def generated_blocks(spark: SparkSession, dataset: Dataset) -> "RDD[np.ndarray]":
    """One array of points per partition, read anew by every job."""
    return spark.sparkContext.parallelize(range(dataset.partitions), dataset.partitions).map(dataset.read)


def file_blocks(spark: SparkSession, path: str, partitions: int) -> "RDD[np.ndarray]":
    """The same of text files: a point per line, its numbers separated by commas or blanks."""
    return spark.sparkContext.textFile(path, partitions).mapPartitions(parse)


def parse(lines: Iterable[str]) -> Iterator[np.ndarray]:
    """The points of one partition, (n, dimensions); nothing if it has none."""
    points = [numbers for line in lines if (numbers := line.replace(",", " ").split())]
    if points:
        try:
            yield np.array(points, dtype=float)
        except ValueError:  # whose message is a part of the file, which may be anybody's
            raise ValueError("the input holds something else than rows of as many numbers each") from None


def assign(points: np.ndarray, centres: np.ndarray) -> Iterator[tuple[int, ClusterSum]]:
    """What one partition's points say about each centre that is nearest to any of them."""
    distances = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    nearest = distances.argmin(axis=1)
    for cluster in np.unique(nearest):
        members = nearest == cluster
        yield (
            int(cluster),
            (points[members].sum(axis=0), int(members.sum()), float(distances[members, cluster].sum())),
        )


def add(left: ClusterSum, right: ClusterSum) -> ClusterSum:
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def iterate(blocks: "RDD[np.ndarray]", centres: np.ndarray) -> tuple[np.ndarray, float]:
    """One Spark job of two stages: new centres, and the cost of the ones given."""
    sums = (
        blocks.flatMap(lambda points: assign(points, centres))
        .reduceByKey(add, numPartitions=2)
        .collectAsMap()
    )
    moved = centres.copy()  # a centre that is nearest to no point stays where it is
    for cluster, (total, count, _) in sums.items():
        moved[cluster] = total / count
    return moved, sum(cost for _, _, cost in sums.values())


def initial_centres(blocks: "RDD[np.ndarray]", clusters: int) -> np.ndarray:
    """One Spark job: candidates of every partition, of which those far apart are taken."""
    heads = blocks.map(lambda points: points[:clusters]).collect()
    if not heads:
        raise SystemExit("there are no points in the input")
    candidates = np.concatenate(heads)
    chosen = [candidates[0]]
    while len(chosen) < min(clusters, len(candidates)):
        distances = ((candidates[:, None, :] - np.array(chosen)[None, :, :]) ** 2).sum(axis=2).min(axis=1)
        chosen.append(candidates[distances.argmax()])
    return np.array(chosen)


def parse_arguments(arguments: Iterable[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="K-means whose tasks wait as for remote storage.")
    parser.add_argument("--input", help="text files of points; without them, points are generated")
    parser.add_argument("--points", type=int, default=6000, help="to generate")
    parser.add_argument("--dimensions", type=int, default=4, help="of generated points")
    parser.add_argument("--clusters", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=10, help="jobs, besides the first and the last")
    parser.add_argument("--partitions", type=int, default=12, help="tasks of each job that wait")
    parser.add_argument("--read-seconds-per-partition", type=float, default=0.5, help="simulated latency")
    parser.add_argument("--seed", type=int, default=0)
    parsed = parser.parse_args(None if arguments is None else list(arguments))
    for name in ("points", "dimensions", "clusters", "iterations", "partitions"):
        if getattr(parsed, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if parsed.read_seconds_per_partition < 0:
        parser.error("--read-seconds-per-partition must not be negative")
    return parsed


def main() -> None:
    arguments = parse_arguments()
    spark = SparkSession.builder.appName("KMeans").getOrCreate()
    try:
        if arguments.input:
            blocks = file_blocks(spark, arguments.input, arguments.partitions)
        else:
            dataset = Dataset(
                points=arguments.points,
                dimensions=arguments.dimensions,
                clusters=arguments.clusters,
                partitions=arguments.partitions,
                read_seconds_per_partition=arguments.read_seconds_per_partition,
                seed=arguments.seed,
            )
            blocks = generated_blocks(spark, dataset)
        centres = initial_centres(blocks, arguments.clusters)
        first_cost = None
        for iteration in range(arguments.iterations):
            centres, cost = iterate(blocks, centres)
            first_cost = cost if first_cost is None else first_cost
            print(f"iteration {iteration}: cost {cost:.6f}", flush=True)
        _, final_cost = iterate(blocks, centres)
        print(f"final cost {final_cost:.6f}, at first {first_cost:.6f}", flush=True)
        if first_cost is not None and final_cost > first_cost * (1 + 1e-9):
            raise SystemExit("the cost grew: this clustering is wrong")
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
