"""Submitting applications, and what became of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse
from pydantic import Field, StringConstraints, computed_field

from common.documents import (
    ApplicationExecution,
    ApplicationState,
    JobExecution,
    ScalingDecision,
    UtcTime,
)
from common.errors import NotFound
from common.specs import INT64_MAX, SHORT_TEXT, ApplicationSpecs, WireModel
from routers.dependencies import ExecutionsDep
from routers.pagination import decode_cursor, encode_cursor
from submission.service import InitialScaleOutPolicy, SubmissionService

router = APIRouter(prefix="/submission", tags=["submission"])


def get_submissions(request: Request) -> SubmissionService:
    submissions: SubmissionService = request.state.submissions
    return submissions


SubmissionsDep = Annotated[SubmissionService, Depends(get_submissions)]

NameFilter = Annotated[str, StringConstraints(max_length=SHORT_TEXT)]


class SubmitRequest(ApplicationSpecs):
    """What to run, on what, and by when."""

    initial_scale_out_policy: InitialScaleOutPolicy = "predicted"
    """`requested` starts with `worker_specs.scale_out` even where history suggests another one."""


class SubmitResponse(WireModel):
    db_entry: ApplicationExecution
    """The stored document."""
    template_code: list[dict[str, Any]]
    """The rendered manifests."""
    k8s_api_response: dict[str, Any]
    """What the platform answered: on Kubernetes the created resource; `warnings` where there are any."""


class ApplicationView(ApplicationExecution):
    """An application execution and how it went."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def runtime_seconds(self) -> float | None:
        """From the driver's start to the end; null until both are known."""
        return super().runtime_seconds

    @computed_field  # type: ignore[prop-decorator]
    @property
    def target_met(self) -> bool | None:
        """Whether a completed application kept its runtime target; null for all others."""
        runtime = self.runtime_seconds
        if self.state != ApplicationState.COMPLETED or runtime is None:
            return None
        return runtime <= self.global_specs.max_runtime


class JobView(WireModel):
    """One Spark job, without its stages."""

    job_id: int
    start_time: UtcTime | None
    end_time: UtcTime
    start_scale_out: int | None
    end_scale_out: int | None
    runtime_seconds: float | None
    stages: int
    """How many stages it has, skipped ones included."""

    @classmethod
    def of(cls, job: JobExecution) -> "JobView":
        started = job.start_time
        return cls(
            job_id=job.job_id,
            start_time=started,
            end_time=job.end_time,
            start_scale_out=job.start_scale_out,
            end_scale_out=job.end_scale_out,
            runtime_seconds=None if started is None else max(0.0, (job.end_time - started).total_seconds()),
            stages=len(job.stages),
        )


class ApplicationDetails(ApplicationView):
    """An application execution with its jobs and the decisions about its scale-out."""

    jobs: list[JobView] = Field(default_factory=list)
    decisions: list[ScalingDecision] = Field(default_factory=list)


class ApplicationPage(WireModel):
    items: list[ApplicationView]
    """Newest first, without their manifests."""
    next_cursor: str | None
    """Pass it as `cursor` for the next page; null on the last one."""


class JobPage(WireModel):
    items: list[JobExecution]
    next_after_job_id: int | None
    """Pass it as `after_job_id` for the next page; null on the last one."""


@router.post("/submit")
async def submit(request: SubmitRequest, submissions: SubmissionsDep) -> SubmitResponse:
    """Submit an application; it waits for its turn if others run."""
    submission = await submissions.submit(request, request.initial_scale_out_policy)
    return SubmitResponse(
        db_entry=submission.execution,
        template_code=submission.execution.manifests,
        k8s_api_response=dict(submission.response),
    )


@router.get("/applications")
async def list_applications(
    executions: ExecutionsDep,
    algorithm_name: NameFilter | None = None,
    experiment_name: NameFilter | None = None,
    state: ApplicationState | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str, StringConstraints(max_length=SHORT_TEXT)] | None = None,
) -> ApplicationPage:
    """Application executions, newest first."""
    found = await executions.newest(
        algorithm_name=algorithm_name,
        experiment_name=experiment_name,
        state=state,
        before=decode_cursor(cursor),
        limit=limit + 1,
    )
    page = found[:limit]
    return ApplicationPage(
        items=[ApplicationView(**execution.to_mongo()) for execution in page],
        next_cursor=encode_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None,
    )


@router.get("/applications/{application_execution_id}")
async def get_application(application_execution_id: str, executions: ExecutionsDep) -> ApplicationDetails:
    """One application execution with its jobs and scaling decisions."""
    execution = await executions.get(application_execution_id)
    jobs = await executions.finished_jobs(execution.id, execution.application_id)
    return ApplicationDetails(
        **execution.to_mongo(),
        jobs=[JobView.of(job) for job in jobs],
        decisions=await executions.decisions(execution.id),
    )


@router.get("/applications/{application_execution_id}/jobs")
async def get_jobs(
    application_execution_id: str,
    executions: ExecutionsDep,
    after_job_id: Annotated[int, Query(ge=-1, le=INT64_MAX)] = -1,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> JobPage:
    """Finished jobs in order, with their stages and metrics."""
    execution = await executions.get(application_execution_id)
    found = await executions.finished_jobs(
        execution.id, execution.application_id, after_job_id=after_job_id, limit=limit + 1
    )
    page = list(found[:limit])
    return JobPage(items=page, next_after_job_id=page[-1].job_id if len(found) > limit else None)


@router.get("/applications/{application_execution_id}/logs", response_class=PlainTextResponse)
async def get_logs(
    application_execution_id: str,
    submissions: SubmissionsDep,
    tail_lines: Annotated[int, Query(ge=1, le=10_000)] = 500,
) -> PlainTextResponse:
    """The last lines that the driver wrote; 404 while there are none."""
    written = await submissions.read_log(application_execution_id, tail_lines)
    if written is None:
        raise NotFound(f"There is no driver log of application execution {application_execution_id!r}.")
    return PlainTextResponse(written)


@router.delete("/applications/{application_execution_id}")
async def kill_application(application_execution_id: str, submissions: SubmissionsDep) -> ApplicationView:
    """End an application, running or waiting.

    Repeating it is safe: an application that has ended is answered as it is, COMPLETED, for
    instance, and not changed.
    """
    execution = await submissions.kill(application_execution_id)
    return ApplicationView(**execution.to_mongo())
