#!/usr/bin/env bash
# Spark 4.1.4: a task that runs while its executor is decommissioned fails at its very end, if its result is over 1 MiB.
#
# Decommissioned executors finish the tasks that they run, and with spark.storage.decommission.enabled they hand over what
# they hold. But they store nothing more, and a result larger than spark.task.maxDirectResultSize (1 MiB by default) does
# not go with the end of its task: the executor stores it, for the driver to fetch. So the task has computed to its end,
# fails with "cannot be saved on decommissioned executor", and counts as failed: four of them, or one where
# spark.task.maxFailures is 1, end the application. Results of half a MiB arrive, and so do large ones with the limit at
# 16m. Killing the executor would cost the task's time, too, but count nothing.
#
# Needs bash, Python 3.11 and Java 17. Last seen: 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyspark==4.1.4

cat >results.py <<'PYTHON'
import sys
import threading
import time

from pyspark.sql import SparkSession

size = int(sys.argv[1])
conf = {
    "spark.executor.memory": "512m",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.task.maxFailures": "1",
    "spark.decommission.enabled": "true",
    "spark.storage.decommission.enabled": "true",
    **dict(each.split("=") for each in sys.argv[2:]),
}
builder = SparkSession.builder.master("local-cluster[2,1,1024]")
for name, value in conf.items():
    builder = builder.config(name, value)
context = builder.getOrCreate().sparkContext
jvm = context._jvm


def decommission(executor):
    told = jvm.org.apache.spark.scheduler.ExecutorDecommissionInfo("told to go", jvm.scala.Option.empty())
    pairs = context._gateway.new_array(jvm.scala.Tuple2, 1)
    pairs[0] = jvm.scala.Tuple2(executor, told)
    return context._jsc.sc().schedulerBackend().decommissionExecutors(pairs, False, False)


def slow(number):
    time.sleep(8)
    return bytes(size)


while context._jsc.sc().getExecutorMemoryStatus().size() < 3:  # with the driver
    time.sleep(0.1)
context.parallelize(range(20), 20).count()  # Python workers are there
timer = threading.Timer(4, decommission, ["0"])
timer.start()
try:
    results = context.parallelize(range(2), 2).map(slow).collect()
    print(size, "bytes each,", *sys.argv[2:], "all arrived:", [len(each) for each in results])
except Exception as error:
    lines = [line for line in str(error).splitlines() if "decommissioned executor" in line]
    print(size, "bytes each, the job failed:", lines[0].split("Exception: ")[-1][:120] if lines else error)
PYTHON

venv/bin/python results.py 524288 2>errors.txt | tee half.txt
venv/bin/python results.py 2097152 2>errors.txt | tee two.txt
venv/bin/python results.py 2097152 spark.task.maxDirectResultSize=16m 2>errors.txt | tee direct.txt
grep -q "all arrived: \[524288, 524288\]" half.txt
grep -q "the job failed: .*cannot be saved on decommissioned executor" two.txt
grep -q "all arrived: \[2097152, 2097152\]" direct.txt
