"""The pages with recurring submissions: when next, whether targets were met, pause and run."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Form, Path, Request, Response

from app.dashboard.applications import Row, rows_of
from app.dashboard.rendering import render, see_other
from common.auth import Principal
from common.errors import NotFound
from common.executions.filter import ExecutionFilter
from common.executions.repository import ExecutionRepository
from common.wire.specs import SHORT_TEXT
from routers import schedules as api
from routers.dependencies import AccessDep, ExecutionsDep, SubmissionSchedulesDep
from routers.principal import READS, SUBMITS, PrincipalDep
from submission.schedules import SubmissionSchedules

router = APIRouter(prefix="/schedules")

HISTORY = 20
"""Latest applications of a schedule that its history shows."""

ScheduleName = Annotated[str, Path(max_length=SHORT_TEXT)]

_ACTIONS: Mapping[str, Callable[[str, SubmissionSchedules, Principal], Awaitable[Any]]] = {
    "pause": api.pause_schedule,
    "resume": api.resume_schedule,
    "delete": api.delete_schedule,
}


async def _history(name: str, executions: ExecutionRepository) -> list[Row]:
    """Newest first."""
    found = await executions.newest(ExecutionFilter(schedule_name=name), limit=HISTORY)
    return await rows_of(found, executions)


@router.get("", dependencies=READS)
async def schedules(request: Request, schedules: SubmissionSchedulesDep) -> Response:
    """By name; each one's history comes later, by itself."""
    found = await schedules.all()
    return render(
        request, "schedules/list.html", schedules=found, unreadable=found.unreadable, key=uuid4().hex
    )


@router.get("/{name}/history", dependencies=READS)
async def history(request: Request, name: ScheduleName, executions: ExecutionsDep) -> Response:
    """Targets met and missed lately, as a part of the page."""
    return render(request, "schedules/history.html", rows=await _history(name, executions))


@router.get("/{name}", dependencies=READS)
async def schedule(
    request: Request, name: ScheduleName, schedules: SubmissionSchedulesDep, executions: ExecutionsDep
) -> Response:
    """What it submits, and what came of it."""
    found = await schedules.get(name)
    submission = found.submission.model_dump(mode="json", exclude_unset=True)
    rows = await _history(name, executions)
    return render(
        request, "schedules/one.html", schedule=found, submission=submission, rows=rows, key=uuid4().hex
    )


@router.post("/{name}/run", dependencies=SUBMITS)
async def run(
    request: Request,
    name: ScheduleName,
    schedules: SubmissionSchedulesDep,
    principal: PrincipalDep,
    access: AccessDep,
    key: Annotated[str, Form(max_length=SHORT_TEXT)] = "",
) -> Response:
    """Submit now, then show the application.

    Args:
        key: Of the form, so that a second click submits nothing.
    """
    submitted = await api.run_schedule(name, schedules, principal, access, Response(), key or None)
    return see_other(request, f"/applications/{submitted.db_entry.id}")


@router.post("/{name}/{action}", dependencies=SUBMITS)
async def act(
    request: Request,
    name: ScheduleName,
    action: str,
    schedules: SubmissionSchedulesDep,
    principal: PrincipalDep,
) -> Response:
    """Pause, resume or delete, then show all."""
    if action not in _ACTIONS:
        raise NotFound(f"A schedule can be run, {', '.join(f'{each}d' for each in _ACTIONS)}.")
    await _ACTIONS[action](name, schedules, principal)
    return see_other(request, "/schedules")
