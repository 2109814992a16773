"""Writes event logs as Spark does, one application for each codec, into folders by their names.

python write_logs.py FOLDER
"""

import sys
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

CODECS = ("none", "zstd", "lz4", "snappy", "lzf")
ROLLED = "rolled"
JOBS_OVER_TEN_MEGABYTES = 12


def conf_for(folder: Path, codec: str) -> SparkConf:
    conf = SparkConf().setMaster("local[2]").setAppName(f"log of {codec}").set("spark.ui.enabled", "false")
    conf = conf.set("spark.eventLog.enabled", "true").set("spark.eventLog.dir", folder.as_uri())
    conf = conf.set("spark.eventLog.rolling.enabled", str(codec == ROLLED).lower())
    conf = conf.set("spark.eventLog.rolling.maxFileSize", "10m")
    conf = conf.set("spark.eventLog.compress", str(codec != "none").lower())
    return conf.set("spark.eventLog.compression.codec", codec if codec in CODECS[1:] else "zstd")


def main(target: Path) -> None:
    for codec in (*CODECS, ROLLED):
        folder = target / codec
        folder.mkdir(parents=True)
        with SparkContext(conf=conf_for(folder, codec)) as context:
            numbers = context.parallelize(range(1000), 4).map(lambda number: (number % 7, number))
            for _ in range(3):
                numbers.reduceByKey(lambda one, other: one + other).count()
            if codec == ROLLED:
                # What a program sets is written with each job and stage: no thousands of tasks are needed.
                context.setLocalProperty("filling", "x" * 500_000)
                for _ in range(JOBS_OVER_TEN_MEGABYTES):
                    SparkSession(context).range(0, 4, 1, 4).count()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
