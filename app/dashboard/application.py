"""The page of one application: how it runs, why it has the executors it has, its stages and its log."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from app.dashboard.plots import run_plot
from app.dashboard.progress import progress_of
from app.dashboard.rendering import render, see_other
from common.errors import NotFound
from common.executions.attempts import (
    AttemptState,
    DriverAttempt,
    driver_attempts,
    jobs_in_charge,
    jobs_of_others,
)
from common.executions.candidate import Candidate
from common.executions.documents import ApplicationExecution, JobExecution, JobSummary, ScalingDecision
from common.executions.repository import ExecutionRepository
from common.executions.summaries import candidates_at
from common.mongo.document import utc_now
from common.wire.specs import INT64_MAX, SHORT_TEXT
from routers.dependencies import ExecutionsDep, SubmissionsDep
from routers.principal import READS, SUBMITS, PrincipalDep
from routers.schemas.applications import DecisionView, JobView, notes_about
from routers.submission import kill_application
from submission.outcomes.outcomes import RunTimeline, replacements

router = APIRouter(prefix="/applications/{execution_id}")

MOST_SHOWN = 50
"""Decisions, and jobs of a driver, that stand in one page."""

ExecutionId = Annotated[str, Path(max_length=SHORT_TEXT)]
Count = Annotated[int | None, Query(ge=1, le=INT64_MAX)]
T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """Everything that the page says of a run, stages aside."""

    execution: ApplicationExecution
    jobs: list[JobSummary]
    """Of the present driver."""
    attempts: list[DriverAttempt]
    decisions: list[ScalingDecision]
    """In their order; of their candidates those that it chose, or had."""
    other_jobs: dict[str, list[JobSummary]]
    """Of drivers that are not in charge, by their ids."""
    timeline: RunTimeline

    @property
    def attempts_to_show(self) -> list[DriverAttempt]:
        """None where there was one driver, and all is as it should be."""
        others = any(each.state is AttemptState.BESIDE for each in self.attempts)
        return self.attempts if len(self.attempts) > 1 or others else []

    @property
    def choice_before(self) -> Candidate | None:
        """What was expected of the choice before the run; None: there was none, or nothing was expected."""
        first = next((each for each in self.decisions if each.job_id < 0), None)
        candidate = first.find_candidate(first.chosen_scale_out) if first is not None else None
        return candidate.within(first.target_seconds) if first is not None and candidate else None


async def _run(execution_id: str, executions: ExecutionRepository) -> Run:
    execution = await executions.get(execution_id)
    of_all = await executions.job_summaries(execution.id)
    jobs, attempts = jobs_in_charge(execution, of_all), driver_attempts(execution, of_all)
    timeline = RunTimeline(execution, jobs)
    fields = candidates_at({scale_out for _, scale_out in timeline.seen})
    decisions = await executions.decisions(execution.id, fields=fields)
    return Run(execution, jobs, attempts, decisions, jobs_of_others(execution, of_all), timeline)


@router.get("", dependencies=READS)
async def application(
    request: Request,
    execution_id: ExecutionId,
    executions: ExecutionsDep,
    submissions: SubmissionsDep,
    decisions: Count = None,
    jobs: Count = None,
) -> Response:
    """Live until it has ended.

    Args:
        decisions: How many of its first ones are looked at, of which the latest are shown; None: all.
        jobs: The same of the jobs.
    """
    run = await _run(execution_id, executions)
    of_its_service = await submissions.note_about(run.execution)
    return await asyncio.to_thread(_page, request, run, of_its_service, decisions, jobs)


def _page(
    request: Request, run: Run, of_its_service: str | None, until_decision: int | None, until_job: int | None
) -> Response:
    decisions, earlier_decisions = _latest(run.decisions, until_decision)
    jobs, earlier_jobs = _latest(run.jobs, until_job)
    replaced = replacements(run.decisions, run.timeline)
    others = {driver: _latest(jobs) for driver, jobs in run.other_jobs.items()}
    here = {name: count for name, count in (("decisions", until_decision), ("jobs", until_job)) if count}
    latest = run.decisions[-1] if run.decisions else None
    return render(
        request,
        "applications/one.html",
        run=run.execution,
        progress=progress_of(run.execution, latest, utc_now()),
        attempts=run.attempts_to_show,
        notes=[*notes_about(run.execution, run.jobs), *filter(None, [of_its_service])],
        choice_before=run.choice_before,
        jobs=[JobView.of(job) for job in jobs],
        other_jobs={driver: [JobView.of(job) for job in found] for driver, (found, _) in others.items()},
        earlier_of_others={driver: earlier for driver, (_, earlier) in others.items()},
        decisions=[
            DecisionView.of(each, replaced.get(each.id), run.timeline) for each in reversed(decisions)
        ],
        here=_query(here),
        pages={
            "decisions": _pages(here, "decisions", earlier_decisions),
            "jobs": _pages(here, "jobs", earlier_jobs),
        },
    )


def _latest(found: Sequence[T], until: int | None = None) -> tuple[Sequence[T], int]:
    """Those that stand in a page, and how many there are before them."""
    end = min(until or len(found), len(found))
    start = max(0, end - MOST_SHOWN)
    return found[start:end], start


def _query(wanted: dict[str, int]) -> str:
    return f"?{urlencode(wanted)}" if wanted else ""


def _pages(here: dict[str, int], name: str, earlier: int) -> dict[str, str | None]:
    """Queries of the pages with the newest and with older ones; None: there is nothing to go to."""
    others = {each: count for each, count in here.items() if each != name}
    return {
        "newest": _query(others) if name in here else None,
        "older": _query({**others, name: earlier}) if earlier else None,
    }


@router.get("/plot", dependencies=READS)
async def plot(execution_id: ExecutionId, executions: ExecutionsDep) -> JSONResponse:
    """What the page draws, see `run_plot`."""
    run = await _run(execution_id, executions)
    drawn: dict[str, Any] = await asyncio.to_thread(
        run_plot, run.timeline, run.jobs, run.decisions, run.other_jobs
    )
    return JSONResponse(drawn)


@router.get("/decisions/{decision_id}", dependencies=READS)
async def candidates(
    request: Request,
    execution_id: ExecutionId,
    decision_id: Annotated[str, Path(max_length=SHORT_TEXT)],
    executions: ExecutionsDep,
) -> Response:
    """What a decision had to choose from, as a part of the page."""
    decision = await executions.find_decision(execution_id, decision_id)
    if decision is None:
        raise NotFound("There is no such decision of this run.")
    return render(
        request,
        "applications/candidates.html",
        decision=decision,
        candidates=[
            each.within(decision.target_seconds - decision.elapsed_seconds) for each in decision.candidates
        ],
    )


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
