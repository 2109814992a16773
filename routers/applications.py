"""What became of submitted applications: lists, jobs, and why they have the executors they have."""

import asyncio
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import StringConstraints

from common.executions.attempts import driver_attempts, jobs_in_charge, jobs_of_others
from common.executions.documents import ApplicationExecution, ApplicationState, JobExecution
from common.executions.filter import ExecutionFilter
from common.executions.repository import ExecutionRepository
from common.executions.summaries import WITHOUT_CANDIDATES, candidates_at
from common.mongo.document import utc_now
from common.wire.events import Time
from common.wire.specs import INT64_MAX, SHORT_TEXT, WireModel
from routers.dependencies import ExecutionsDep, SubmissionsDep
from routers.media.large_json import are_large, jobs_response
from routers.pagination import Cursor, Hint, Limit, Unreadable, decode_cursor, encode_cursor, hint_for
from routers.principal import READS
from routers.schemas.applications import (
    ApplicationDetails,
    ApplicationView,
    DecisionView,
    JobView,
    all_succeeded,
    hint_about,
    notes_about,
)
from submission.outcomes.outcomes import RunTimeline, replacements
from submission.outcomes.picture import draw_run
from submission.outcomes.summary import RunSummary, summarize

router = APIRouter(prefix="/applications")

NameFilter = Annotated[str, StringConstraints(max_length=SHORT_TEXT)]


class ApplicationPage(WireModel):
    items: list[ApplicationView]
    """Newest first, without their manifests."""
    next_cursor: str | None
    """Pass it as `cursor` for the next page; null on the last one."""
    hint: Hint = None
    unreadable: Unreadable


class JobPage(WireModel):
    items: list[JobExecution]
    next_after_job_id: int | None
    """Pass it as `after_job_id` for the next page; null on the last one."""
    hint: Hint = None
    unreadable: Unreadable


class DecisionPage(WireModel):
    items: list[DecisionView]
    """In the order in which they were made; the first is the choice before the run."""
    next_cursor: str | None
    hint: Hint = None
    unreadable: Unreadable


@router.get("", dependencies=READS)
async def list_applications(
    executions: ExecutionsDep,
    algorithm_name: NameFilter | None = None,
    experiment_name: NameFilter | None = None,
    solution_name: NameFilter | None = None,
    schedule_name: NameFilter | None = None,
    name: NameFilter | None = None,
    state: Annotated[list[ApplicationState] | None, Query()] = None,
    created_from: Time | None = None,
    created_to: Time | None = None,
    target_met: bool | None = None,
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> ApplicationPage:
    """Application executions, newest first.

    `state` may be given several times. Times are epoch milliseconds or ISO 8601; `created_to` is the
    first moment that is left out. `target_met` leaves only completed applications.
    """
    wanted = ExecutionFilter(
        algorithm_name=algorithm_name,
        experiment_name=experiment_name,
        solution_name=solution_name,
        schedule_name=schedule_name,
        name=name,
        states=state or (),
        created_from=created_from,
        created_to=created_to,
        target_met=target_met,
    )
    narrowed = (algorithm_name, experiment_name, solution_name, schedule_name, name, state)
    also = (created_from, created_to, target_met, cursor)
    found = await executions.newest(wanted, before=decode_cursor(cursor), limit=limit + 1)
    page = found[:limit]
    return ApplicationPage(
        items=[ApplicationView.of(execution) for execution in page],
        next_cursor=encode_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None,
        hint=hint_for(page, "POST /submission/submit starts an application.", *narrowed, *also),
        unreadable=found.unreadable,
    )


@router.get("/summary", dependencies=READS)
async def get_summary(
    executions: ExecutionsDep, days: Annotated[float, Query(gt=0, le=366)] = 7.0
) -> RunSummary:
    """Targets met and executor-hours of the last days by algorithm, and what a static choice would have
    cost: the first one, kept to the end, as the model saw it before the run."""
    return await summarize(executions, utc_now() - timedelta(days=days))


@router.get("/{application_execution_id}", dependencies=READS)
async def get_application(
    application_execution_id: str, executions: ExecutionsDep, submissions: SubmissionsDep
) -> ApplicationDetails:
    """One application execution with its jobs and scaling decisions."""
    execution = await executions.get(application_execution_id)
    of_all = await executions.job_summaries(execution.id)
    of_its_service = await submissions.note_about(execution)
    jobs = jobs_in_charge(execution, of_all)
    decisions = await executions.decisions(execution.id)
    timeline = RunTimeline(execution, jobs)
    replaced = replacements(decisions, timeline)
    return ApplicationDetails(
        **execution.to_mongo(),
        jobs=[JobView.of(job) for job in jobs],
        all_jobs_succeeded=all_succeeded(jobs),
        attempts=driver_attempts(execution, of_all),
        notes=[*notes_about(execution, jobs), *filter(None, [of_its_service])],
        decisions=[DecisionView.of(each, replaced.get(each.id), timeline) for each in decisions],
        hint=hint_about(execution, decisions),
        unreadable=of_all.unreadable + decisions.unreadable,
    )


@router.get("/{application_execution_id}/jobs", dependencies=READS, response_model=JobPage)
async def get_jobs(
    application_execution_id: str,
    executions: ExecutionsDep,
    after_job_id: Annotated[int, Query(ge=-1, le=INT64_MAX)] = -1,
    limit: Limit = 50,
    application_id: NameFilter | None = None,
) -> JobPage | Response:
    """Finished jobs in order, with their stages and metrics: of the driver in charge, or of another one of
    the `attempts` by its `application_id`."""
    execution = await executions.get(application_execution_id)
    found = await executions.finished_jobs(
        execution.id, application_id or execution.application_id, after_job_id=after_job_id, limit=limit + 1
    )
    page = found[:limit]
    answer = JobPage(
        items=[],
        next_after_job_id=page[-1].job_id if len(found) > limit else None,
        hint=hint_for(page, "Jobs come here when the Spark plugin reports that they have ended."),
        unreadable=found.unreadable,
    )
    if are_large(page):
        return await jobs_response(answer.model_dump(mode="json", exclude={"items"}), page)
    return answer.model_copy(update={"items": page})


@router.get("/{application_execution_id}/decisions", dependencies=READS)
async def get_decisions(
    application_execution_id: str,
    executions: ExecutionsDep,
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> DecisionPage:
    """Why it scaled: what was known, the candidates with their predictions, the choice, its reason, and
    whether Spark carried it out and when."""
    execution = await executions.get(application_execution_id)
    found = await executions.decisions(execution.id, after=decode_cursor(cursor), limit=limit + 1)
    everything = await executions.decisions(execution.id, fields=WITHOUT_CANDIDATES)
    timeline = await _timeline(execution, executions)
    replaced = replacements(everything, timeline)
    page = found[:limit]
    return DecisionPage(
        items=[DecisionView.of(each, replaced.get(each.id), timeline) for each in page],
        next_cursor=encode_cursor(page[-1].decided_at, page[-1].id) if len(found) > limit else None,
        hint=hint_for(page, "The first decision is made at submission, further ones when jobs have ended."),
        unreadable=found.unreadable,
    )


@router.get(
    "/{application_execution_id}/picture.svg",
    dependencies=READS,
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}}},
)
async def get_picture(application_execution_id: str, executions: ExecutionsDep) -> Response:
    """Executors over time, and predicted against real remaining runtime, as a picture."""
    execution = await executions.get(application_execution_id)
    of_all = await executions.job_summaries(execution.id)
    others = [RunTimeline(execution, jobs) for jobs in jobs_of_others(execution, of_all).values()]
    timeline = RunTimeline(execution, jobs_in_charge(execution, of_all))
    had = {scale_out for _, scale_out in timeline.seen}
    decisions = await executions.decisions(execution.id, fields=candidates_at(had))
    # A run of thousands of jobs takes a while to draw.
    drawn = await asyncio.to_thread(draw_run, timeline, decisions, others)
    return Response(drawn, media_type="image/svg+xml")


async def _timeline(execution: ApplicationExecution, executions: ExecutionRepository) -> RunTimeline:
    return RunTimeline(execution, await executions.job_summaries(execution.id, execution.application_id))
