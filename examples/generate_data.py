"""Write data for one of the benchmark algorithms, as text files in any file system that Spark knows.

`spark-submit generate_data.py MPC --size-mb 1000 --output hdfs://…/mpc`. What the data looks like is
told in benchmark_data.py, which has to lie beside this file.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from benchmark_data import GENERATORS, Generator, Size, as_text, positive
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

_SAMPLE = 2000
"""Rows from which the length of a line is learned."""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Generate data for a benchmark algorithm.")
    parser.add_argument("algorithm", choices=list(GENERATORS))
    parser.add_argument(
        "--output", required=True, help="folder to make, such as hdfs://…/mpc or file:///…/mpc"
    )
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--size-mb", type=positive, default=10, help="about that many million bytes")
    amount.add_argument("--points", type=positive, help="exactly that many lines instead")
    parser.add_argument("--dimensions", type=positive, default=20)
    parser.add_argument("--partitions", type=positive, default=8, help="files, and tasks that write them")
    parser.add_argument("--seed", type=int, default=0, help="the same one gives the same data")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in the output folder")
    return parser.parse_args(arguments)


def lines(spark: SparkSession, algorithm: str, size: Size) -> DataFrame:
    """Clustering has no labels to learn from."""
    generator: Generator = GENERATORS[algorithm]
    return as_text(generator(spark, size), with_label=algorithm != "KMeans")


def points_of(spark: SparkSession, algorithm: str, size: Size, size_mb: int) -> int:
    """How many lines make that size, by the mean length of some. One Spark job."""
    sample = lines(spark, algorithm, replace(size, points=_SAMPLE, partitions=1))
    mean_length = float(sample.agg(F.avg(F.length("value"))).collect()[0][0])
    return max(1, round(size_mb * 1e6 / (mean_length + 1)))


def main(arguments: Sequence[str] | None = None) -> None:
    parsed = parse_arguments(arguments)
    spark = SparkSession.builder.appName(f"Generate{parsed.algorithm}Data").getOrCreate()
    try:
        size = Size(parsed.points or _SAMPLE, parsed.dimensions, parsed.partitions, parsed.seed)
        if parsed.points is None:
            size = replace(size, points=points_of(spark, parsed.algorithm, size, parsed.size_mb))
        mode = "overwrite" if parsed.overwrite else "error"
        lines(spark, parsed.algorithm, size).write.mode(mode).text(parsed.output, compression="none")
        print(f"wrote {size.points} lines to {parsed.output}", flush=True)
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
