"""The first page: whether targets were met and at what price, and what needs attention."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from app.dashboard.applications import rows_of
from app.dashboard.attention import attention
from app.dashboard.rendering import render
from common.executions.documents import ApplicationState
from common.executions.filter import ExecutionFilter
from common.mongo.document import utc_now
from routers.dependencies import ExecutionsDep, StateDep
from routers.principal import READS
from submission.outcomes.summary import summarize

router = APIRouter()

_DAYS = 7

_RUNNING_SHOWN = 10


@router.get("/", dependencies=READS)
async def overview(request: Request) -> Response:
    """Its parts come later, each by itself: none waits for a slow one."""
    return render(request, "overview/page.html", days=_DAYS)


@router.get("/overview/week", dependencies=READS)
async def week(request: Request, executions: ExecutionsDep, state: StateDep) -> Response:
    """Targets met against executor-hours by algorithm, as a part of the page."""
    summary = await summarize(executions, utc_now() - timedelta(days=_DAYS))
    return render(request, "overview/week.html", summary=summary, price=state.executor_hour_price)


@router.get("/overview/running", dependencies=READS)
async def running(request: Request, executions: ExecutionsDep) -> Response:
    """What runs or waits now, as a part of the page."""
    active = [state for state in ApplicationState if not state.is_final]
    found = await executions.newest(
        ExecutionFilter(states=active, without_logs=True), limit=_RUNNING_SHOWN + 1
    )
    rows = await rows_of(found[:_RUNNING_SHOWN], executions)
    return render(request, "overview/running.html", rows=rows, more=len(found) > _RUNNING_SHOWN)


@router.get("/overview/attention", dependencies=READS)
async def needs_attention(request: Request, state: StateDep) -> Response:
    """What somebody should look at, as a part of the page."""
    return render(request, "overview/attention.html", notes=await attention(state))
