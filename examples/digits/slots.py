"""Whether as many processes can run at once as a training has: Spark itself would wait, and not say why."""

import time
from typing import Any

from pyspark.sql import SparkSession

_WAIT_SECONDS = 120.0
_PAUSE_SECONDS = 0.5


class NotEnoughSlots(Exception):
    """The training could never start; the message says what to change."""


def wait_for_slots(spark: SparkSession, processes: int, wait_seconds: float = _WAIT_SECONDS) -> None:
    """Return when so many tasks can run at once.

    Raises:
        NotEnoughSlots: They never will, or did not in time.
    """
    conf = spark.sparkContext.getConf()
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        raise NotEnoughSlots(
            "Processes that start all at once need a fixed number of executors: Spark refuses them with"
            " dynamic allocation. Say `spark_template_values: {scale_out_tuner.config.is_adaptive: false}`."
        )
    most = _most_slots(spark)
    if most is not None and processes > most:
        raise NotEnoughSlots(_sentence(processes, most))
    deadline = time.monotonic() + wait_seconds
    while (slots := present_slots(spark)) < processes:
        if time.monotonic() > deadline:
            raise NotEnoughSlots(f"{_sentence(processes, slots)} No more came within {wait_seconds:g} s.")
        time.sleep(_PAUSE_SECONDS)


def present_slots(spark: SparkSession) -> int:
    """Tasks that could run at once now; what Spark itself compares a barrier stage with."""
    context: Any = spark.sparkContext._jsc.sc()  # Python has no way of its own
    profile = context.resourceProfileManager().defaultResourceProfile()
    return int(context.maxNumConcurrentTasks(profile))


def _most_slots(spark: SparkSession) -> int | None:
    """Executors × cores, as configured; None where nothing is said of it."""
    conf = spark.sparkContext.getConf()
    if spark.sparkContext.master.startswith("local"):
        return present_slots(spark)
    per_task = int(conf.get("spark.task.cpus", "1"))
    if spark.sparkContext.master.startswith("spark:"):
        cores = conf.get("spark.cores.max")
        return None if cores is None else int(cores) // per_task
    executors = conf.get("spark.executor.instances")
    per_executor = int(conf.get("spark.executor.cores", "1")) // per_task
    return None if executors is None else int(executors) * per_executor


def _sentence(processes: int, slots: int) -> str:
    return (
        f"{processes} processes need {processes} slots (executors × cores), and there are {slots}: ask for"
        " fewer processes, or for more executors (min_scale_out and max_scale_out of the step)."
    )
