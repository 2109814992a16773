#!/usr/bin/env bash
# TorchDistributor of PySpark 4.1.4 does not find what addPyFile has added, though every task does.
#
# `SparkContext.addPyFile` puts a module on the path of Python workers: a task imports it. The processes that
# TorchDistributor starts on executors are children of a worker by way of torchrun, which get PYTHONPATH and not
# the worker's sys.path: unpickling a function of that module ends with "No module named". The exception that
# reaches the driver speaks of a failed barrier stage; the name of the module is on a process's output alone.
#
# What helps is a function that is pickled by value (`cloudpickle.register_pickle_by_value`).
#
# Needs bash, Python 3.11, Java 17, 2 GB of disk, and an index of packages with torch for the CPU.
# Last seen: 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyspark==4.1.4 torch==2.13.0 numpy==2.4.6 pandas==3.1.1 pyarrow==26.0.1

mkdir elsewhere
cat >elsewhere/helper.py <<'PYTHON'
def answer():
    return 42
PYTHON

cat >ask.py <<'PYTHON'
import sys

from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("OFF")
spark.sparkContext.addPyFile("elsewhere/helper.py")
import helper

def in_a_task(_):
    import helper

    return helper.answer()

print("a task:", spark.sparkContext.parallelize([0], 1).map(in_a_task).collect()[0])

def distributed():
    try:
        return TorchDistributor(1, local_mode=False, use_gpu=False).run(helper.answer)
    except Exception as error:
        return f"fails with a {type(error).__name__}"

print("TorchDistributor:", distributed())
from pyspark import cloudpickle

cloudpickle.register_pickle_by_value(helper)
print("TorchDistributor, by value:", distributed())
spark.stop()
PYTHON

PYSPARK_PYTHON="$PWD/venv/bin/python" venv/bin/python ask.py >seen.txt 2>errors.txt
cat seen.txt
grep -h "No module named 'helper'" seen.txt errors.txt | sort -u | head -1
grep -qx 'a task: 42' seen.txt
grep -qx 'TorchDistributor: fails with a [A-Za-z0-9]*' seen.txt
grep -qx 'TorchDistributor, by value: 42' seen.txt
