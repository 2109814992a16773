"""Environments of programs: what was built of their requirements, and how."""

from typing import Annotated

from fastapi import APIRouter, Query, status
from fastapi.responses import PlainTextResponse
from pydantic import StringConstraints

from common.wire.specs import SHORT_TEXT, WireModel
from routers.dependencies import EnvironmentsDep
from routers.pagination import Hint, Unreadable, decode_cursor, encode_cursor, hint_for
from routers.principal import READS, SUBMITS
from submission.environments.documents import Environment, EnvironmentState

router = APIRouter(prefix="/environments", tags=["environments"])


class EnvironmentPage(WireModel):
    items: list[Environment]
    """Newest first, without the parts of their packed files."""
    next_cursor: str | None
    hint: Hint = None
    unreadable: Unreadable


@router.get("", dependencies=READS)
async def list_environments(
    environments: EnvironmentsDep,
    state: EnvironmentState | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str, StringConstraints(max_length=SHORT_TEXT)] | None = None,
) -> EnvironmentPage:
    """Environments, newest first."""
    found = await environments.repository.newest(state=state, before=decode_cursor(cursor), limit=limit + 1)
    page = found[:limit]
    return EnvironmentPage(
        items=page,
        next_cursor=encode_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None,
        hint=hint_for(page, "A program with a requirements.txt in its folder makes one.", state, cursor),
        unreadable=found.unreadable,
    )


@router.get("/{environment_id}", dependencies=READS)
async def get_environment(environment_id: str, environments: EnvironmentsDep) -> Environment:
    """One environment: its state and why, what was resolved, and the last lines of its log."""
    return await environments.get(environment_id)


@router.get("/{environment_id}/log", dependencies=READS, response_class=PlainTextResponse)
async def get_environment_log(environment_id: str, environments: EnvironmentsDep) -> PlainTextResponse:
    """What its last build wrote, also while it is being built; of a long one the last 200 KB."""
    return PlainTextResponse(await environments.read_log(environment_id))


@router.post("/{environment_id}/build", status_code=status.HTTP_202_ACCEPTED, dependencies=SUBMITS)
async def build_environment(environment_id: str, environments: EnvironmentsDep) -> Environment:
    """Build one again that has failed, or has made room for others; one that is ready answers 409."""
    return await environments.build_again(environment_id)
