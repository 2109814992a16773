"""A Spark program of many small jobs, none of which starts a Python: what a driver does is all there is.

python many_jobs.py JOBS TASKS
"""

import sys

from pyspark.sql import SparkSession

if __name__ == "__main__":
    jobs, tasks = map(int, sys.argv[1:])
    with SparkSession.builder.appName("ManyJobs").getOrCreate() as spark:
        numbers = spark.sparkContext._jsc.parallelize(list(range(tasks)), tasks)
        for _ in range(jobs):
            numbers.count()
