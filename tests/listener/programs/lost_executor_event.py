"""Tells listeners of the end of an executor that is still there, and runs jobs until a marker file appears.

Arguments: the marker file. As where Spark has dropped the event of its start.
"""

import sys
import time
from pathlib import Path

from pyspark import SparkContext

marker = Path(sys.argv[1])
context = SparkContext()
scheduler = context._jvm.org.apache.spark.scheduler
now = int(time.time() * 1000)
context._jsc.sc().listenerBus().post(scheduler.SparkListenerExecutorRemoved(now, "0", "was never seen"))
for _ in range(200):
    total = context.parallelize(range(6), 6).map(lambda number: time.sleep(0.05) or number).sum()
    if marker.exists():
        break
print("total", total, marker.exists())
