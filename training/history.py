"""Runs as the model sees them: plain values, seconds since the application started.

These types cross process borders as JSON and are all that `features`, `model` and `loop` know
of a run. `common.executions` holds the stored documents they are made from.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

METRIC_NAMES = (
    "cpu_utilization",
    "gc_time_ratio",
    "shuffle_rw_ratio",
    "data_io_ratio",
    "memory_spill_ratio",
)


class StageMetrics(NamedTuple):
    """Ratios from Spark's TaskMetrics summed over a stage; not all are bounded by 1."""

    cpu_utilization: float
    gc_time_ratio: float
    shuffle_rw_ratio: float
    data_io_ratio: float
    memory_spill_ratio: float


@dataclass(frozen=True)
class StageRecord:
    """One stage that ran (skipped stages are left out)."""

    stage_id: int
    name: str
    num_tasks: int
    parent_ids: tuple[int, ...]
    """Parents within the same job that ran; edges to skipped stages are left out."""
    start_seconds: float
    """Since the application started."""
    runtime_seconds: float
    start_scale_out: int
    end_scale_out: int
    rescaling_time_ratio: float
    metrics: StageMetrics | None
    rdd_num_partitions: int = 0
    rdd_num_cached_partitions: int = 0
    rdd_mem_size: int = 0
    """Bytes."""
    rdd_disk_size: int = 0
    """Bytes."""


@dataclass(frozen=True)
class JobRecord:
    """One finished Spark job; `stages` may be empty (no stages recorded, or all skipped)."""

    job_id: int
    start_seconds: float
    """Since the application started."""
    runtime_seconds: float
    start_scale_out: int
    end_scale_out: int
    rescaling_time_ratio: float
    stages: tuple[StageRecord, ...] = ()

    @property
    def end_seconds(self) -> float:
        return self.start_seconds + self.runtime_seconds


@dataclass(frozen=True)
class RunContext:
    """What may explain a runtime besides the scale-out."""

    algorithm_name: str
    algorithm_args: tuple[str, ...] = ()
    data_size_mb: int = 1
    data_characteristics: str = ""
    machine_name: str = "unknown"
    environment_name: str = "unknown"
    executor_cores: int = 1
    executor_memory_mb: int = 512
    versions: tuple[str, ...] = ()
    """Spark, Hadoop, Scala and Java, as far as they are known."""


@dataclass(frozen=True)
class RunRecord:
    """One application execution: its jobs in order of their ids (gaps are allowed)."""

    run_id: str
    context: RunContext
    started_at: float
    """Epoch seconds."""
    jobs: tuple[JobRecord, ...] = field(default=())
    runtime_seconds: float | None = None
    """Of the whole application; None while it runs, or where its end was not recorded."""
