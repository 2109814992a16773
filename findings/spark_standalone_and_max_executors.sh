#!/usr/bin/env bash
# Spark 4.1.4: `spark.dynamicAllocation.maxExecutors` is no maximum on a standalone cluster.
#
# An application starts with the largest of spark.executor.instances, initialExecutors and minExecutors, and nobody
# compares that with maxExecutors: with a maximum of one and `--num-executors 3` it gets three, which work off 18 tasks
# of a second in 9 s. An executor goes when it has been idle for a minute; those of a busy program stay to its end, and
# what is taken for a run on one was on three. No warning, though there is one for a start below the
# minimum. The backends of Kubernetes and YARN ask a function that refuses such a start, called here, too: what works on
# a standalone cluster ends there before it has begun. What helps is to set initialExecutors alone, not above the
# maximum, or spark.cores.max, which is a limit of the cluster's own.
#
# Needs bash, Python 3.11 and Java 17. Last seen: 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyspark==4.1.4

cat >see.py <<'PYTHON'
import sys
import time

from pyspark.errors import IllegalArgumentException
from pyspark.sql import SparkSession

conf = {
    "spark.executor.cores": "1",
    "spark.executor.memory": "512m",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.dynamicAllocation.maxExecutors": "1",
    **dict(each.split("=") for each in sys.argv[1:]),
}
builder = SparkSession.builder.master("local-cluster[3,1,1024]")
for name, value in conf.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
context = spark.sparkContext._jsc.sc()
executors = lambda: context.getExecutorMemoryStatus().size() - 1  # less the driver
began = time.monotonic()
while executors() < 3 and time.monotonic() - began < 20:
    time.sleep(0.2)


def seconds(tasks):
    """How long tasks of a second each take."""
    began = time.monotonic()
    spark.sparkContext.parallelize(range(tasks), tasks).foreach(lambda _: time.sleep(1))
    return time.monotonic() - began


seconds(6)
taken, there = seconds(18), executors()
try:
    spark._jvm.org.apache.spark.scheduler.cluster.SchedulerBackendUtils.getInitialTargetExecutorNumber(context.conf(), 2)
    refused = False
except IllegalArgumentException as error:
    refused = "max executor number 1" in str(error)
print(f"{there} executors, 18 tasks of a second in {taken:.0f} s; refused elsewhere: {refused}", sys.argv[1:])
spark.stop()
more = "=3" in sys.argv[1]
sys.exit(there != (3 if more else 1) or refused != more or (taken < 15) != more)
PYTHON
for conf in spark.executor.instances=3 spark.dynamicAllocation.initialExecutors=3 spark.dynamicAllocation.minExecutors=1; do
  PYSPARK_PYTHON="$folder/venv/bin/python" venv/bin/python see.py "$conf" 2>errors.txt || { tail -n 5 errors.txt; exit 1; }
done
! grep -q maxExecutors errors.txt
