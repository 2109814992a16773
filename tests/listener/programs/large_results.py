"""Returns results too large for their tasks' ends by default, from executors of which one is to stay."""

import sys
import time

from pyspark import SparkContext

executors = int(sys.argv[1])
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
numbers = context.parallelize(range(executors), executors)
print("count", numbers.count())
print("bytes", sum(map(len, numbers.map(slow_and_large).collect())))
context.stop()
