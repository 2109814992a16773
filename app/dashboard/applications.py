"""The page with all applications: how each stands, filters in the address, live."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from app.dashboard.progress import Progress, progress_of
from app.dashboard.rendering import render
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.filter import ExecutionFilter
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.wire.specs import SHORT_TEXT
from routers.dependencies import ExecutionsDep
from routers.pagination import decode_cursor, encode_cursor
from routers.principal import READS

router = APIRouter()

PAGE = 25

_GROUPS = {
    "running": [state for state in ApplicationState if not state.is_final],
    "completed": [ApplicationState.COMPLETED],
    "failed": [ApplicationState.FAILED, ApplicationState.SUBMISSION_FAILED],
    "killed": [ApplicationState.KILLED],
}
"""Of states, as people ask for them."""

_TEXTS = ("algorithm_name", "experiment_name", "solution_name", "schedule_name", "submitted_by", "name")
_VERDICTS = {"met": True, "missed": False}


def _states(word: str) -> Sequence[ApplicationState]:
    """Of a group, or the one that the API calls so; none for what is nobody's word."""
    return _GROUPS.get(word.lower()) or [each for each in ApplicationState if each.value == word.upper()]


Text = Annotated[str, Query(max_length=SHORT_TEXT)]


@dataclass(frozen=True)
class Row:
    execution: ApplicationExecution
    progress: Progress


async def rows_of(found: Sequence[ApplicationExecution], executions: ExecutionRepository) -> list[Row]:
    """In their order; what goes on is projected by its latest decision."""
    latest = await executions.latest_decisions([each.id for each in found if each.goes_on])
    now = utc_now()
    return [Row(each, progress_of(each, latest.get(each.id), now)) for each in found]


@router.get("/applications", dependencies=READS)
async def applications(
    request: Request,
    executions: ExecutionsDep,
    state: Text = "",
    target: Text = "",
    cursor: Text = "",
) -> Response:
    """Newest first; what is empty, or nobody's word, filters nothing."""
    texts = {name: request.query_params.get(name, "").strip()[:SHORT_TEXT] for name in _TEXTS}
    by_text = ExecutionFilter(**{name: text or None for name, text in texts.items()})  # type: ignore[arg-type]
    verdict, runs = _VERDICTS.get(target), state.lower() == "running"
    wanted = replace(by_text, states=_states(state), target_met=verdict, without_logs=runs)
    found = await executions.newest(wanted, before=decode_cursor(cursor or None), limit=PAGE + 1)
    page = found[:PAGE]
    filters = {name: text for name, text in {**texts, "state": state, "target": target}.items() if text}
    more = encode_cursor(page[-1].created_at, page[-1].id) if len(found) > PAGE else ""
    return render(
        request,
        "applications/list.html",
        rows=await rows_of(page, executions),
        filters=filters,
        groups=[*_GROUPS, *([state] if state not in _GROUPS and _states(state) else [])],
        is_first=not cursor,
        here=urlencode({**filters, "cursor": cursor} if cursor else filters),
        first=urlencode(filters),
        more=urlencode({**filters, "cursor": more}) if more else "",
        unreadable=found.unreadable,
    )
