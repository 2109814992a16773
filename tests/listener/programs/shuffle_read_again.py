"""Writes shuffle files with all of its executors, waits until one is left, and reads the files again."""

import sys
import time
from operator import add

from pyspark import SparkContext

executors = int(sys.argv[1])
context = SparkContext()


def wait_for(count: int) -> None:
    deadline = time.monotonic() + 60
    while context._jsc.sc().getExecutorMemoryStatus().size() - 1 != count:  # less the driver
        assert time.monotonic() < deadline, f"not {count} executors"
        time.sleep(0.1)


wait_for(executors)
pairs = context.parallelize(range(400), 4 * executors).map(lambda n: (n % 10, n)).reduceByKey(add, 4)
print("total", pairs.values().sum())
wait_for(1)
print("again", pairs.values().sum())
context.stop()
