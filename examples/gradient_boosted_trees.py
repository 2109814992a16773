"""Regression by gradient-boosted trees: every tree takes a Spark job per level, and some more.

Reads `--input` (see benchmark_data.py, which has to lie beside this file), or generates data of a
function that is not linear. Runs anywhere:
`spark-submit --master 'local[2]' gradient_boosted_trees.py`.
"""

import argparse
from collections.abc import Sequence

from benchmark_data import add_data_arguments, gradient_boosted_trees_data, positive, training_and_test_data
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.regression import GBTRegressor
from pyspark.sql import SparkSession


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Regression by gradient-boosted trees.")
    add_data_arguments(parser, points=10_000, dimensions=10)
    parser.add_argument("--iterations", type=positive, default=6, help="trees")
    parser.add_argument(
        "--depth", type=int, choices=range(1, 31), default=4, metavar="1-30", help="of a tree"
    )
    parser.add_argument("--learning-rate", type=float, default=0.3, help="share of each tree, up to 1")
    parser.add_argument("--checkpoint-dir", help="where every tenth iteration is written: for long runs")
    parsed = parser.parse_args(arguments)
    if not 0 < parsed.learning_rate <= 1:
        parser.error("--learning-rate must be above 0 and at most 1")
    return parsed


def main() -> None:
    arguments = parse_arguments()
    spark = SparkSession.builder.appName("GradientBoostedTrees").getOrCreate()
    try:
        if arguments.checkpoint_dir:
            spark.sparkContext.setCheckpointDir(arguments.checkpoint_dir)
        training, test = training_and_test_data(spark, arguments, gradient_boosted_trees_data)
        trainer = GBTRegressor(
            maxIter=arguments.iterations,
            maxDepth=arguments.depth,
            stepSize=arguments.learning_rate,
            seed=arguments.seed,
        )
        predictions = trainer.fit(training).transform(test).cache()
        for metric in ("rmse", "r2"):
            value = RegressionEvaluator(metricName=metric).evaluate(predictions)
            print(f"test {metric} {value:.4f}", flush=True)
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
