"""Requests as listeners and people send them."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from common.executions.documents import ApplicationExecution

START_MS = 1_625_427_060_000
"""When the sample applications start, epoch milliseconds."""


def at(seconds: float) -> datetime:
    """A moment of the sample applications, so long after their start."""
    return datetime.fromtimestamp(START_MS / 1000, UTC) + timedelta(seconds=seconds)


def unique_name(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:12]}"


def specs(**global_specs: Any) -> dict[str, Any]:
    """The body of a submission."""
    return {
        "global_specs": {
            "solution_name": "enel",
            "system_name": "spark",
            "experiment_name": "tests",
            "algorithm_name": "KMeans",
            "algorithm_args": ["--iterations", 4],
            "data_size_MB": 100,
            "machine_name": "local",
            "environment_name": "tests",
            "min_scale_out": 1,
            "max_scale_out": 8,
            "max_runtime": 120.0,
            **global_specs,
        },
        "optional_specs": {"spark_version": "4.1.4"},
        "master_specs": {"scale_out": 1, "cores": 1, "memory": "512m", "memory_overhead": "384m"},
        "worker_specs": {"scale_out": 2, "cores": 1, "memory": "512m", "memory_overhead": "384m"},
        "spark_template_values": {},
    }


def execution(execution_id: str | None = None, **global_specs: Any) -> ApplicationExecution:
    return ApplicationExecution(id=execution_id or unique_name("execution"), **specs(**global_specs))


def context_end(
    execution_id: str, seconds: float, application_id: str = "spark-1", **updates: int
) -> dict[str, Any]:
    """The driver's own word that its context has ended, so many seconds after the start."""
    return {
        "application_execution_id": execution_id,
        "application_id": application_id,
        "update_event": "APPLICATION_END",
        "updates": {"application_id": application_id, "end_time": at(seconds).isoformat(), **updates},
    }


def application_start(execution_id: str, application_id: str = "spark-1", **updates: Any) -> dict[str, Any]:
    return {
        "application_execution_id": execution_id,
        "application_id": application_id,
        "update_event": "APPLICATION_START",
        "updates": {
            "application_id": application_id,
            "application_signature": "k-means",
            "attempt_id": 0,
            "start_time": START_MS,
            "start_scale_out": 2,
            **updates,
        },
    }


def stage(stage_id: int, start_ms: int, end_ms: int, scale_out: int = 2, **fields: Any) -> dict[str, Any]:
    return {
        "stage_id": str(stage_id),
        "stage_name": "collectAsMap at kmeans.py:30",
        "attempt_id": 0,
        "num_tasks": 12,
        "parent_stage_ids": [],
        "failure_reason": "",
        "start_time": start_ms,
        "end_time": end_ms,
        "start_scale_out": scale_out,
        "end_scale_out": scale_out,
        "rescaling_time_ratio": 0.0,
        "rdd_num_partitions": 12,
        "rdd_num_cached_partitions": 0,
        "rdd_mem_size": 0,
        "rdd_disk_size": 0,
        "metrics": {
            "cpu_utilization": 0.7,
            "gc_time_ratio": 0.02,
            "shuffle_rw_ratio": 0.5,
            "data_io_ratio": 1.0,
            "memory_spill_ratio": 0.0,
        },
        **fields,
    }


def job_end(
    execution_id: str,
    job_id: int,
    application_id: str = "spark-1",
    /,
    *,
    start_seconds: float | None = None,
    runtime_seconds: float = 3.0,
    scale_out: int = 2,
    **updates: Any,
) -> dict[str, Any]:
    """Job `job_id`; two stages, after them one that Spark skipped."""
    start_ms = START_MS + int(1000 * (2.0 + 3.2 * job_id if start_seconds is None else start_seconds))
    end_ms = start_ms + int(1000 * runtime_seconds)
    middle_ms = (start_ms + 4 * end_ms) // 5
    first = 3 * job_id
    return {
        "application_execution_id": execution_id,
        "application_id": application_id,
        "job_id": job_id,
        "update_event": "JOB_END",
        "updates": {
            "job_id": job_id,
            "start_time": start_ms,
            "end_time": end_ms,
            "start_scale_out": scale_out,
            "end_scale_out": scale_out,
            "rescaling_time_ratio": 0.0,
            "stages": {
                str(first): stage(first, start_ms, middle_ms, scale_out),
                str(first + 1): stage(
                    first + 1, middle_ms, end_ms, scale_out, parent_stage_ids=[str(first)], num_tasks=4
                ),
                str(first + 2): None,
            },
            **updates,
        },
    }
