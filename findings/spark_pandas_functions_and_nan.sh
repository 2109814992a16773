#!/usr/bin/env bash
# Spark 4.1.4: a function over pandas or Arrow that returns what it was given turns NaN into null, or does not.
#
# A NaN in a column of losses says that a training has diverged: an average over it is NaN, and a count counts it.
# Seen here of two rows, 1 and NaN, which pass through a function that changes nothing:
# - `pandas_udf`, also over an array that holds the NaN, `mapInPandas`, `applyInPandas`: the NaN becomes a null. The
#   average is 1.0, `count(loss)` is 1;
# - `udf` and `mapInArrow`: it stays. The average is NaN, the count is 2.
# No error, no warning. pandas has one mark for both, and what comes back is converted as pandas means it. So adding
# an unrelated column by `mapInPandas` changes every average of the others. Where it counts, `mapInArrow` keeps both apart.
#
# Needs bash, Python 3.11 and Java 17. Last seen: 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyspark==4.1.4 pyarrow==24.0.0 pandas==2.3.3 numpy==2.4.6

cat >see.py <<'PYTHON'
import math
import sys

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")


def same(batches):
    yield from batches


def same_group(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


@f.pandas_udf("double")
def same_column(column: pd.Series) -> pd.Series:
    return column


@f.pandas_udf("array<double>")
def same_arrays(column: pd.Series) -> pd.Series:
    return column


@f.udf("double")
def same_number(number):
    return number


rows = spark.createDataFrame([(1.0,), (math.nan,)], "loss double").coalesce(1)
arrays = rows.agg(f.collect_list("loss").alias("losses"))
ways = {
    "as it is": rows,
    "udf": rows.select(same_number("loss").alias("loss")),
    "mapInArrow": rows.mapInArrow(same, "loss double"),
    "pandas_udf of arrays": arrays.select(f.explode(same_arrays("losses")).alias("loss")),
    "pandas_udf": rows.select(same_column("loss").alias("loss")),
    "mapInPandas": rows.mapInPandas(same, "loss double"),
    "applyInPandas": rows.groupBy(f.isnull("loss")).applyInPandas(same_group, "loss double"),
}
losing = ("pandas_udf", "pandas_udf of arrays", "mapInPandas", "applyInPandas")
as_described = True
for name, result in ways.items():
    [(average, count)] = result.agg(f.avg("loss"), f.count("loss")).collect()
    print(f"{name}: average {average}, count {count}")
    as_described &= (average, count) == (1.0, 1) if name in losing else math.isnan(average) and count == 2
spark.stop()
sys.exit(not as_described)
PYTHON
PYSPARK_PYTHON="$folder/venv/bin/python" venv/bin/python see.py 2>errors.txt || { tail -n 5 errors.txt; exit 1; }
