"""From stored documents to the model's view of a run."""

import re
from collections.abc import Sequence

from common.executions.documents import ApplicationExecution, JobExecution, StageExecution
from common.wire.results import job_succeeded
from common.wire.specs import ApplicationSpecs
from training.history.values import JobRecord, RunContext, RunRecord, StageMetrics, StageRecord

_MEMORY_UNITS_MB = {
    "": 1.0,
    "b": 1 / 2**20,
    "k": 1 / 2**10,
    "m": 1.0,
    "g": 2**10,
    "t": 2**20,
    "p": 2**30,
}


def memory_megabytes(size: str) -> int:
    """`512m`, `2g`, `1Gi` or `512` (MiB, as for Spark) in MiB; at least 1."""
    match = re.fullmatch(r"([0-9]+)([a-z]?)i?b?", size.lower())
    if match is None:
        raise ValueError(f"{size!r} is not a memory size")
    return max(1, round(int(match[1]) * _MEMORY_UNITS_MB[match[2]]))


def to_run_context(specs: ApplicationSpecs) -> RunContext:
    known = specs.global_specs
    versions = specs.optional_specs
    return RunContext(
        algorithm_name=known.algorithm_name,
        algorithm_args=tuple(str(argument) for argument in known.algorithm_args),
        data_size_mb=known.data_size_MB,
        data_characteristics=known.data_characteristics,
        machine_name=known.machine_name,
        environment_name=known.environment_name,
        executor_cores=specs.worker_specs.cores,
        executor_memory_mb=memory_megabytes(specs.worker_specs.memory),
        versions=tuple(
            version
            for version in (
                versions.spark_version,
                versions.hadoop_version,
                versions.scala_version,
                versions.java_version,
            )
            if version
        ),
    )


def to_run_record(execution: ApplicationExecution, jobs: Sequence[JobExecution]) -> RunRecord:
    """A run with its finished jobs; times become seconds since the application's start.

    The application is the attempt of the driver in charge: the time that earlier attempts took says nothing
    about how long one takes. Where nobody knows when it ended, it has no runtime of its own: what came
    after its last job is not known. Where the start was not reported (yet), the first job's start stands
    in for it.
    """
    started_at = application_started_at(execution, jobs)
    default_scale_out = (
        execution.start_scale_out or execution.initial_scale_out or execution.worker_specs.scale_out
    )
    return RunRecord(
        run_id=execution.id,
        context=to_run_context(execution),
        started_at=started_at,
        jobs=tuple(
            _to_job_record(job, started_at, default_scale_out)
            for job in sorted(jobs, key=lambda job: job.job_id)
        ),
        runtime_seconds=execution.attempt_seconds if execution.tail_is_known else None,
    )


def application_started_at(execution: ApplicationExecution, jobs: Sequence[JobExecution]) -> float:
    """Epoch seconds."""
    if execution.start_time is not None:
        return execution.start_time.timestamp()
    starts = [job.start_time or job.end_time for job in jobs]
    return min(starts, default=execution.created_at).timestamp()


def _to_job_record(job: JobExecution, started_at: float, default_scale_out: int) -> JobRecord:
    stages = [
        stage for stage in job.stages.values() if stage is not None and stage.end_time and stage.start_time
    ]
    ran = {stage.stage_id for stage in stages}
    earliest = min((stage.start_time for stage in stages if stage.start_time), default=job.end_time)
    start_time = job.start_time or min(earliest, job.end_time)
    start_scale_out = job.start_scale_out or default_scale_out
    end_scale_out = job.end_scale_out or start_scale_out
    return JobRecord(
        job_id=job.job_id,
        start_seconds=max(0.0, start_time.timestamp() - started_at),
        runtime_seconds=max(0.0, (job.end_time - start_time).total_seconds()),
        start_scale_out=start_scale_out,
        end_scale_out=end_scale_out,
        rescaling_time_ratio=job.rescaling_time_ratio or 0.0,
        stages=tuple(
            _to_stage_record(stage, ran, started_at, start_scale_out, end_scale_out)
            for stage in sorted(stages, key=lambda stage: int(stage.stage_id))
        ),
        failed=_failed(job, stages),
    )


def _failed(job: JobExecution, stages: Sequence[StageExecution]) -> bool:
    """Whether a job failed; where its result was not reported, whether its last stage did.

    A stage that succeeded later may still tell why it failed at first.
    """
    if job.job_result is not None:
        return job_succeeded(job.job_result) is False
    last = max(stages, key=lambda stage: int(stage.stage_id), default=None)
    return last is not None and bool(last.failure_reason)


def _to_stage_record(
    stage: StageExecution, ran: set[str], started_at: float, start_scale_out: int, end_scale_out: int
) -> StageRecord:
    assert stage.start_time is not None, "the caller left others out"
    assert stage.end_time is not None, "the caller left others out"
    return StageRecord(
        stage_id=int(stage.stage_id),
        name=stage.stage_name,
        num_tasks=stage.num_tasks,
        parent_ids=tuple(int(parent) for parent in stage.parent_stage_ids if parent in ran),
        start_seconds=max(0.0, stage.start_time.timestamp() - started_at),
        runtime_seconds=max(0.0, (stage.end_time - stage.start_time).total_seconds()),
        start_scale_out=stage.start_scale_out or start_scale_out,
        end_scale_out=stage.end_scale_out or end_scale_out,
        rescaling_time_ratio=stage.rescaling_time_ratio or 0.0,
        metrics=StageMetrics(**stage.metrics.model_dump()) if stage.metrics else None,
        rdd_num_partitions=stage.rdd_num_partitions,
        rdd_num_cached_partitions=stage.rdd_num_cached_partitions,
        rdd_mem_size=stage.rdd_mem_size,
        rdd_disk_size=stage.rdd_disk_size,
        attempt=stage.attempt_id,
    )
