#!/usr/bin/env bash
# Spark 4.1.4: "Executor CPU Time" of a task leaves out what its Python worker computes, and "JVM GC Time" counts
# one pause once for each task that runs in the JVM.
#
# A stage of Python functions that keep two cores busy looks idle: a few percent of its run time. And the GC times of
# four tasks side by side add up to about four times what the JVM has stopped: as a share of the tasks' run times that
# is right, as seconds of the stage it is not. Spark's documentation says neither.
#
# Needs bash, Python 3.11 and Java 17. Last seen: 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyspark==4.1.4

cat >program.py <<'PYTHON'
import json
import pathlib
import sys
import time

from pyspark.sql import SparkSession

spark = (
    SparkSession.builder.master("local[4]")
    .config("spark.driver.memory", "512m")
    .config("spark.ui.enabled", "false")
    .config("spark.eventLog.enabled", "true")
    .config("spark.eventLog.compress", "false")
    .config("spark.eventLog.rolling.enabled", "false")
    .config("spark.eventLog.dir", pathlib.Path("logs").resolve().as_uri())
    .getOrCreate()
)
context = spark.sparkContext


def busy(rows):
    begun = time.process_time()
    while time.process_time() < begun + 2:
        pass
    yield 1


def stopped():
    """Milliseconds that this JVM has stopped for its collectors."""
    beans = context._jvm.java.lang.management.ManagementFactory.getGarbageCollectorMXBeans()
    return sum(beans.get(index).getCollectionTime() for index in range(beans.size()))


context.setJobGroup("python", "")
context.parallelize(range(2), 2).mapPartitions(busy).count()
before = stopped()
context.setJobGroup("jvm", "")
words = spark.range(0, 40_000_000, 1, 4).selectExpr("repeat(cast(id as string), 20) word")
words.selectExpr("sum(length(reverse(word)))").collect()
jvm_stopped = stopped() - before
spark.stop()

(log,) = pathlib.Path("logs").iterdir()
events = [json.loads(line) for line in log.read_text().splitlines()]
group_of = {
    stage: event["Properties"]["spark.jobGroup.id"]
    for event in events
    if event["Event"] == "SparkListenerJobStart"
    for stage in event["Stage IDs"]
}
tasks = {"python": [], "jvm": []}
for event in events:
    if event["Event"] == "SparkListenerTaskEnd":
        tasks[group_of[event["Stage ID"]]].append(event["Task Metrics"])


def total(group, name):
    return sum(task[name] for task in tasks[group])


python_share = total("python", "Executor CPU Time") / 1e6 / total("python", "Executor Run Time")
jvm_share = total("jvm", "Executor CPU Time") / 1e6 / total("jvm", "Executor Run Time")
gc = total("jvm", "JVM GC Time")
print(f"Python functions that compute for 2 s: {python_share:.0%} of their run time is said to be CPU time")
print(f"the same of SQL: {jvm_share:.0%}")
print(f"GC times of its tasks: {gc} ms; the JVM stopped for {jvm_stopped} ms meanwhile")
sys.exit(not (python_share < 0.2 < jvm_share and gc > 2 * jvm_stopped > 0))
PYTHON

mkdir logs
venv/bin/python program.py 2>/dev/null
