"""The page of one application: how it runs, why it has the executors it has, its stages and its log."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from app.dashboard.plots import run_plot
from app.dashboard.progress import progress_of
from app.dashboard.rendering import render, see_other
from common.executions.attempts import (
    AttemptState,
    DriverAttempt,
    driver_attempts,
    jobs_in_charge,
    jobs_of_others,
)
from common.executions.documents import ApplicationExecution, JobExecution, JobSummary, ScalingDecision
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.wire.specs import INT64_MAX, SHORT_TEXT
from routers.dependencies import ExecutionsDep, SubmissionsDep
from routers.principal import READS, SUBMITS, PrincipalDep
from routers.schemas.applications import DecisionView, JobView, notes_about
from routers.submission import kill_application
from submission.outcomes.outcomes import RunTimeline

router = APIRouter(prefix="/applications/{execution_id}")

ExecutionId = Annotated[str, Path(max_length=SHORT_TEXT)]


@dataclass(frozen=True)
class Run:
    """Everything that the page says of a run, stages aside."""

    execution: ApplicationExecution
    jobs: list[JobSummary]
    """Of the present driver."""
    attempts: list[DriverAttempt]
    decisions: list[ScalingDecision]
    other_jobs: dict[str, list[JobSummary]]
    """Of drivers that are not in charge, by their ids."""

    @property
    def attempts_to_show(self) -> list[DriverAttempt]:
        """None where there was one driver, and all is as it should be."""
        others = any(each.state is AttemptState.BESIDE for each in self.attempts)
        return self.attempts if len(self.attempts) > 1 or others else []

    @property
    def timeline(self) -> RunTimeline:
        return RunTimeline(self.execution, self.jobs)


async def _run(execution_id: str, executions: ExecutionRepository) -> Run:
    execution = await executions.get(execution_id)
    of_all = await executions.job_summaries(execution.id)
    jobs, attempts = jobs_in_charge(execution, of_all), driver_attempts(execution, of_all)
    others = jobs_of_others(execution, of_all)
    return Run(execution, jobs, attempts, await executions.decisions(execution.id), others)


@router.get("", dependencies=READS)
async def application(
    request: Request, execution_id: ExecutionId, executions: ExecutionsDep, submissions: SubmissionsDep
) -> Response:
    """Live until it has ended."""
    run = await _run(execution_id, executions)
    of_its_service = await submissions.note_about(run.execution)
    timeline = run.timeline
    return render(
        request,
        "applications/one.html",
        run=run.execution,
        progress=progress_of(run.execution, run.decisions[-1] if run.decisions else None, utc_now()),
        attempts=run.attempts_to_show,
        notes=[*notes_about(run.execution, run.jobs), *filter(None, [of_its_service])],
        jobs=[JobView.of(job) for job in run.jobs],
        other_jobs={driver: [JobView.of(job) for job in jobs] for driver, jobs in run.other_jobs.items()},
        decisions=[DecisionView.of(each, run.decisions, timeline) for each in reversed(run.decisions)],
    )


@router.get("/plot", dependencies=READS)
async def plot(execution_id: ExecutionId, executions: ExecutionsDep) -> JSONResponse:
    """What the page draws, see `run_plot`."""
    run = await _run(execution_id, executions)
    return JSONResponse(run_plot(run.timeline, run.jobs, run.decisions, run.other_jobs))


@router.get("/jobs/{job_id}", dependencies=READS)
async def stages(
    request: Request,
    execution_id: ExecutionId,
    job_id: Annotated[int, Path(ge=0, le=INT64_MAX)],
    executions: ExecutionsDep,
    application_id: Annotated[str | None, Query(max_length=SHORT_TEXT)] = None,
) -> Response:
    """The stages of one job, as a part of the page."""
    found: list[JobExecution] = await executions.finished_jobs(
        execution_id, application_id, after_job_id=job_id - 1, limit=1
    )
    job = found[0] if found and found[0].job_id == job_id else None
    ran = [stage for stage in (job.stages.values() if job else ()) if stage is not None]
    return render(
        request, "applications/stages.html", stages=ran, skipped=len(job.stages) - len(ran) if job else 0
    )


@router.post("/kill", dependencies=SUBMITS)
async def kill(
    request: Request,
    execution_id: ExecutionId,
    executions: ExecutionsDep,
    submissions: SubmissionsDep,
    principal: PrincipalDep,
) -> Response:
    """End the application, then show its page again."""
    await kill_application(execution_id, submissions, executions, principal)
    return see_other(request, f"/applications/{execution_id}")
