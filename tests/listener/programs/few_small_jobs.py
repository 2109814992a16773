"""Runs three small jobs and prints their results; ends without stopping its context, as many programs do."""

from pyspark import SparkContext

context = SparkContext()
for size in (10, 20, 30):
    print("sum", context.parallelize(range(size), 2).sum())
