"""Runs one job of every kind that the listener has to tell apart.

Arguments: a text file to read, a folder to write to, a marker file that says an executor was killed, one
that says executors have come, and how many of them are to come. Tasks wait a little, so that executors
go while jobs run.
"""

import os
import signal
import sys
import threading
import time
from operator import add
from pathlib import Path

from pyspark import SparkContext

source, sink, marker, crowded, crowd = sys.argv[1:]
context = SparkContext()


def wait_a_little(pair):
    time.sleep(0.02)
    return pair


def grouped(numbers, partitions):
    """Numbers by their remainder, in two stages."""
    pairs = context.parallelize(range(numbers), partitions).map(lambda number: (number % 4, number))
    return pairs.map(wait_a_little).groupByKey(4)


def kill_executor_once(pairs):
    """End the JVM above this Python worker, but only in the first task that gets here."""
    if not Path(marker).exists():
        Path(marker).touch()
        daemon = os.getppid()
        executor = int(Path(f"/proc/{daemon}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(executor, signal.SIGKILL)
        time.sleep(60)
    return pairs


words = context.textFile(source, 4).flatMap(str.split).map(lambda word: (word, 1)).cache()
counts = words.map(wait_a_little).reduceByKey(add, 4)
lengths = words.map(lambda pair: (pair[0], len(pair[0]))).reduceByKey(max, 4)

# Two stages; caches the words.
print("distinct", counts.count())
# The first stage is skipped, the shuffle files are still there.
print("total", counts.map(lambda pair: pair[1]).sum())
# The join's stage has two parents.
print("joined", counts.join(lengths, 4).count())
counts.map(lambda pair: f"{pair[0]} {pair[1]}").saveAsTextFile(sink)


def tell_when_executors_are_there():
    """The driver is among those with memory."""
    deadline = time.monotonic() + 60
    while context._jsc.sc().getExecutorMemoryStatus().size() <= int(crowd) and time.monotonic() < deadline:
        time.sleep(0.1)
    Path(crowded).touch()


def wait_for_executors(number):
    while not Path(crowded).exists():
        time.sleep(0.05)
    time.sleep(0.25)


# Executors come while this job runs, however long they take.
threading.Thread(target=tell_when_executors_are_there, daemon=True).start()
context.parallelize(range(24), 12).map(wait_for_executors).count()
# Long enough for them to go after the next answer of the service.
for _ in range(2):
    context.parallelize(range(24), 12).map(lambda number: time.sleep(0.25)).count()

# Two jobs at once that share a stage.
shared = grouped(40, 4)
threads = [threading.Thread(target=shared.count) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()


def fail(number):
    raise ValueError("this job is meant to fail")


# A job that fails.
try:
    context.parallelize(range(2), 1).map(fail).count()
except Exception as failure:
    print("failed", "meant to fail" in str(failure))

# An executor is lost together with its shuffle files, so the first stage runs again.
lossy = grouped(80, 8)
print("recovered", lossy.mapPartitions(kill_executor_once).count())
# Words that stay cached no longer; a job without any stage.
words.unpersist(blocking=True)
print("empty", context.emptyRDD().count())
