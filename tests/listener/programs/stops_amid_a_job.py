"""Stops its context while a job runs, after telling listeners of a job whose end never comes.

As where Spark has dropped the event of that end.
"""

import threading
import time
from contextlib import suppress

from pyspark import SparkContext

context = SparkContext()
print("sum", context.parallelize(range(10), 2).sum())

jvm = context._jvm
no_stages = getattr(getattr(jvm.scala.collection.immutable, "Nil$"), "MODULE$")
never_ends = jvm.org.apache.spark.scheduler.SparkListenerJobStart(
    7, int(time.time() * 1000), no_stages, jvm.java.util.Properties()
)
context._jsc.sc().listenerBus().post(never_ends)


def run_until_it_is_cut_off():
    with suppress(Exception):
        context.parallelize(range(600), 1).map(lambda number: time.sleep(0.1)).count()


threading.Thread(target=run_until_it_is_cut_off, daemon=True).start()
while 1 not in context.statusTracker().getActiveJobsIds():
    time.sleep(0.05)
context.stop()
