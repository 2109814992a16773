"""Runs as the model sees them: plain values, seconds since the application started.

These types cross process borders as JSON and are all that `features`, `model` and `loop` know
of a run. `common.executions.repository` holds the stored documents they are made from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

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
    rdd_num_cached_partitions: int | None = 0
    """None, as with the sizes: nothing is known of what was cached."""
    rdd_mem_size: int | None = 0
    """Bytes."""
    rdd_disk_size: int | None = 0
    """Bytes."""
    attempt: int = 0
    """Above 0 for a stage that was tried again: some of its work, or all, was done more than once."""


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
    failed: bool = False
    """Whether it ended without its result; cancelled jobs did."""

    @property
    def retried(self) -> bool:
        """Whether any of its stages was tried again."""
        return any(stage.attempt > 0 for stage in self.stages)

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

    @property
    def most_executors(self) -> int:
        """Most executors that the run had; 0 without jobs."""
        return max((max(job.start_scale_out, job.end_scale_out) for job in self.jobs), default=0)


def history_to_json(history: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Plain JSON values; `history_from_json` reads them back."""
    runs: list[dict[str, Any]] = []
    for run in history:
        values = asdict(run)
        for job, record in zip(values["jobs"], run.jobs, strict=True):
            for stage, recorded in zip(job["stages"], record.stages, strict=True):
                stage["metrics"] = recorded.metrics._asdict() if recorded.metrics else None
        runs.append(values)
    return runs


def history_from_json(values: Sequence[Mapping[str, Any]]) -> list[RunRecord]:
    """Read what `history_to_json` wrote; unknown fields are ignored.

    Raises:
        KeyError, TypeError, ValueError: A required field is missing or has an impossible value.
    """
    return [
        RunRecord(
            **_known(RunRecord, run)
            | {
                "context": context_from_json(run["context"]),
                "jobs": tuple(_job(job) for job in run.get("jobs", ())),
                "started_at": float(run["started_at"]),
            }
        )
        for run in values
    ]


def _known(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f.name: values[f.name] for f in fields(kind) if f.name in values}


def context_from_json(values: Mapping[str, Any]) -> RunContext:
    """Read a context's fields; unknown ones are ignored."""
    texts = {name: tuple(map(str, values.get(name, ()))) for name in ("algorithm_args", "versions")}
    return RunContext(**_known(RunContext, values) | texts)


def _seconds(value: float) -> float:
    seconds = float(value)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{value!r} is no time in seconds")
    return seconds


def _times(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: _seconds(values[name]) for name in ("start_seconds", "runtime_seconds")}


def _job(values: Mapping[str, Any]) -> JobRecord:
    stages = tuple(_stage(stage) for stage in values.get("stages", ()))
    return JobRecord(**_known(JobRecord, values) | _times(values) | {"stages": stages})


def _stage(values: Mapping[str, Any]) -> StageRecord:
    metrics = values.get("metrics")
    if isinstance(metrics, Mapping):
        metrics = [metrics[name] for name in METRIC_NAMES]
    parsed = StageMetrics(*map(float, metrics)) if metrics else None
    parents = tuple(int(parent) for parent in values["parent_ids"])
    return StageRecord(
        **_known(StageRecord, values) | _times(values) | {"metrics": parsed, "parent_ids": parents}
    )
