"""Multilayer perceptron classifier: a Spark job for each evaluation of the gradient.

Reads `--input` (see benchmark_data.py, which has to lie beside this file), or generates data with
three classes that no linear model can tell apart. Runs anywhere:
`spark-submit --master 'local[2]' mpc.py`.
"""

import argparse
from collections.abc import Sequence

from benchmark_data import add_data_arguments, mpc_data, positive, training_and_test_data
from pyspark.ml.classification import MultilayerPerceptronClassifier
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F


def hidden_layers(text: str) -> list[int]:
    return [positive(width) for width in text.split(",")]


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Multilayer perceptron classifier.")
    add_data_arguments(parser, points=10_000, dimensions=10)
    parser.add_argument("--iterations", type=positive, default=20, help="at most; about one job each")
    parser.add_argument("--hidden", type=hidden_layers, default=[32, 16], help="widths, such as 100,50")
    parser.add_argument("--solver", choices=["l-bfgs", "gd"], default="l-bfgs", help="gd learns far slower")
    return parser.parse_args(arguments)


def outer_layers(data: DataFrame) -> tuple[int, int]:
    """Widths of the first and the last layer: numbers of features and of classes. One Spark job."""
    features = F.size(vector_to_array("features"))
    widths = data.agg(F.max(features).alias("first"), F.max("label").alias("last")).first()
    if widths is None or widths["first"] is None:
        raise SystemExit("there is no data")
    return widths["first"], int(widths["last"]) + 1


def main() -> None:
    arguments = parse_arguments()
    spark = SparkSession.builder.appName("MPC").getOrCreate()
    try:
        training, test = training_and_test_data(spark, arguments, mpc_data)
        features, classes = outer_layers(training)
        # Without a tolerance it goes on until nothing gets better: runs differ in length as little as can be.
        trainer = MultilayerPerceptronClassifier(
            layers=[features, *arguments.hidden, classes],
            maxIter=arguments.iterations,
            solver=arguments.solver,
            seed=arguments.seed,
            tol=0.0,
        )
        model = trainer.fit(training)
        evaluator = MulticlassClassificationEvaluator(metricName="accuracy")
        print(f"test accuracy {evaluator.evaluate(model.transform(test)):.4f}", flush=True)
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
