"""One attempt of one stage: from Spark's `Stage Info` to what the plugin reports of it."""

from typing import Any

from training.event_logs.cached_blocks import CachedBlocks
from training.event_logs.executors import ExecutorTimeline, ScaleOutSpan

Json = dict[str, Any]

_NANOS_PER_MILLI = 1e6

_PREFIX = "internal.metrics."

_MOST_CHARACTERS = 16 * 1024
"""Of a text, as in EventJson.java."""


def stage_update(
    info: Json, start: int, end: int, failure_reason: str, executors: ExecutorTimeline, cached: CachedBlocks
) -> Json:
    """The wire form of a stage, as `common.wire.events.StageUpdate` reads it.

    Args:
        info: Spark's `Stage Info`.
        start: Epoch milliseconds, as `end`.
    """
    rdds = info.get("RDD Info") or []
    blocks = cached.of([rdd["RDD ID"] for rdd in rdds])
    partitions, mem_size, disk_size = (
        (blocks.partitions, blocks.mem_size, blocks.disk_size) if blocks is not None else (None, None, None)
    )
    return {
        "stage_id": str(info["Stage ID"]),
        "stage_name": _text(info.get("Stage Name")),
        "attempt_id": info.get("Stage Attempt ID") or 0,
        "num_attempts": 1,
        "num_tasks": info["Number of Tasks"],
        "parent_stage_ids": [str(parent) for parent in info.get("Parent IDs") or []],
        "failure_reason": _text(failure_reason),
        "start_time": start,
        "end_time": end,
        **span_update(executors.between(start, end)),
        "rdd_num_partitions": sum(rdd["Number of Partitions"] for rdd in rdds),
        "rdd_num_cached_partitions": partitions,
        "rdd_mem_size": mem_size,
        "rdd_disk_size": disk_size,
        "metrics": _metrics(sums(info)),
    }


def _text(value: Any) -> Any:
    """Cut as the plugin cuts it: a request has to hold all stages of a job."""
    return value[:_MOST_CHARACTERS] if isinstance(value, str) else value


def with_earlier(stage: Json, earlier: Json, executors: ExecutorTimeline) -> Json:
    """A stage and earlier attempts of it as a whole, as `after` of StageRecord.java makes it."""
    start = min(stage["start_time"], earlier["start_time"])
    end = max(stage["end_time"], earlier["end_time"])
    largest = earlier if earlier["num_tasks"] > stage["num_tasks"] else stage
    return {
        **stage,
        "num_attempts": stage["attempt_id"] - earlier["attempt_id"] + earlier["num_attempts"],
        "num_tasks": largest["num_tasks"],
        "failure_reason": stage["failure_reason"] or earlier["failure_reason"],
        "start_time": start,
        "end_time": end,
        **span_update(executors.between(start, end)),
        "metrics": largest["metrics"],
    }


def span_update(span: ScaleOutSpan) -> Json:
    """The wire form of the scale-outs around an interval."""
    return {
        "start_scale_out": span.start,
        "end_scale_out": span.end,
        "rescaling_time_ratio": span.rescaling_time_ratio,
    }


def sums(info: Json) -> dict[str, float]:
    """What Spark has summed over a stage's tasks, by the name of the metric; what is 0 is left out."""
    found: dict[str, float] = {}
    for each in info.get("Accumulables") or []:
        name, value = each.get("Name"), each.get("Value")
        if isinstance(name, str) and name.startswith(_PREFIX) and isinstance(value, int | float):
            found[name.removeprefix(_PREFIX)] = value
    return found


def _metrics(summed: dict[str, float]) -> Json:
    """The ratios of StageMetrics.java."""

    def of(name: str) -> float:
        return summed.get(name, 0.0)

    read = of("shuffle.read.remoteBytesRead") + of("shuffle.read.localBytesRead")
    return {
        "cpu_utilization": _ratio(of("executorCpuTime"), of("executorRunTime") * _NANOS_PER_MILLI),
        "gc_time_ratio": _ratio(of("jvmGCTime"), of("executorRunTime")),
        "shuffle_rw_ratio": _ratio(read, of("shuffle.write.bytesWritten")),
        "data_io_ratio": _ratio(of("input.bytesRead"), of("output.bytesWritten")),
        "memory_spill_ratio": _ratio(of("diskBytesSpilled"), of("peakExecutionMemory")),
    }


def _ratio(numerator: float, denominator: float) -> float:
    """0/x is 0 (0/0 too), x/0 is 1, as the contract has it."""
    if numerator <= 0:
        return 0.0
    return 1.0 if denominator <= 0 else numerator / denominator
