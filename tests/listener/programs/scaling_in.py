"""Goes on while all of its executors but one are told to go, as `shuffle` or `results` says.

shuffle: Writes shuffle files with all of them, waits until one is left, and reads the files again.
results: Returns results that are too large, by default, to go with the ends of their tasks.
"""

import sys
import time
from operator import add

from pyspark import SparkContext

executors, kind = int(sys.argv[1]), sys.argv[2]
context = SparkContext()


def wait_for(count: int) -> None:
    deadline = time.monotonic() + 60
    while context._jsc.sc().getExecutorMemoryStatus().size() - 1 != count:  # less the driver
        assert time.monotonic() < deadline, f"not {count} executors"
        time.sleep(0.1)


def slow_and_large(number: int) -> bytes:
    time.sleep(5)
    return bytes([number]) * (2 << 20)


wait_for(executors)
if kind == "shuffle":
    pairs = context.parallelize(range(400), 4 * executors).map(lambda n: (n % 10, n)).reduceByKey(add, 4)
    print("total", pairs.values().sum())
    wait_for(1)
    print("again", pairs.values().sum())
else:
    numbers = context.parallelize(range(executors), executors)
    print("count", numbers.count())
    print("bytes", sum(map(len, numbers.map(slow_and_large).collect())))
context.stop()
