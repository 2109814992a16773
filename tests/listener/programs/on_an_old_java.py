"""Runs one small job in a driver that takes its Java for version 11."""

from pyspark import SparkContext

SparkContext._ensure_initialized()
SparkContext._jvm.System.setProperty("java.specification.version", "11")
print("sum", SparkContext().parallelize(range(10), 2).sum())
