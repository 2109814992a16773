"""Multinomial logistic regression by L-BFGS: a Spark job for each evaluation of the gradient.

Reads `--input` (see benchmark_data.py, which has to lie beside this file), or generates data with
three classes. Runs anywhere: `spark-submit --master 'local[2]' logistic_regression.py`.
"""

import argparse
from collections.abc import Sequence

from benchmark_data import add_data_arguments, logistic_regression_data, positive, training_and_test_data
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.sql import SparkSession


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Logistic regression with several classes.")
    add_data_arguments(parser, points=20_000, dimensions=20)
    parser.add_argument("--iterations", type=positive, default=20, help="at most; one or two jobs each")
    parser.add_argument("--regularisation", type=float, default=0.0, help="weight of the L2 penalty")
    parsed = parser.parse_args(arguments)
    if parsed.regularisation < 0:
        parser.error("--regularisation must not be negative")
    return parsed


def main() -> None:
    arguments = parse_arguments()
    spark = SparkSession.builder.appName("LogisticRegression").getOrCreate()
    try:
        training, test = training_and_test_data(spark, arguments, logistic_regression_data)
        # Without a tolerance it goes on until nothing gets better: runs differ in length as little as can be.
        trainer = LogisticRegression(maxIter=arguments.iterations, regParam=arguments.regularisation, tol=0.0)
        model = trainer.fit(training)
        history = model.summary.objectiveHistory
        print(f"{len(history) - 1} iterations: loss {history[0]:.6f} to {history[-1]:.6f}", flush=True)
        evaluator = MulticlassClassificationEvaluator(metricName="accuracy")
        print(f"test accuracy {evaluator.evaluate(model.transform(test)):.4f}", flush=True)
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
