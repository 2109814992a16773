#!/usr/bin/env bash
# Spark 4.1.4 writes `ExitCode: 0` into the event log of a program that has ended with exit code 3.
#
# SparkListenerApplicationEnd has an ExitCode since Spark 4. It is that of the context, which shutdown hooks stop
# with 0 whatever the program exits with; an uncaught exception in Python leaves 0, too. Who learns from event logs
# takes failed runs for complete ones.
#
# Needs bash, Python 3.11 and Java 17. Last seen: 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyspark==4.1.4
mkdir logs

cat >program.py <<'PYTHON'
import sys
from pyspark import SparkContext

SparkContext().parallelize(range(4), 2).count()
if sys.argv[1] == "exit":
    sys.exit(3)
raise ValueError("uncaught")
PYTHON

for how in exit raise; do
  code=0
  PATH="$folder/venv/bin:$PATH" venv/bin/spark-submit --master 'local[1]' --conf spark.ui.enabled=false \
    --conf spark.eventLog.enabled=true --conf spark.eventLog.compress=false \
    --conf spark.eventLog.rolling.enabled=false --conf "spark.eventLog.dir=file:$folder/logs" \
    program.py "$how" >/dev/null 2>&1 || code=$?
  end=$(cat logs/local-* | grep '"SparkListenerApplicationEnd"' || true)
  echo "$how: spark-submit ends with $code, the log says ${end:-nothing}"
  test "$code" -ne 0
  grep -q '"ExitCode":0' <<<"$end"
  rm -f logs/*
done
