"""The list of models that are served or could be, and the page of one."""

from fastapi import APIRouter, Request, Response

from app.dashboard.predictions.listing import rows_of
from app.dashboard.predictions.place import latest_of, live_of, whole_page
from app.dashboard.rendering import render
from common.wire.specs import SHORT_TEXT
from routers.dependencies import StateDep
from routers.principal import READS, AdmittedDep
from routers.serving.asking import ServedName

router = APIRouter(prefix="/prediction")


@router.get("", dependencies=READS)
async def models(request: Request, state: StateDep, principal: AdmittedDep, cursor: str = "") -> Response:
    """By name."""
    rows, more, unreadable = await rows_of(state.serving, principal, cursor[: 3 * SHORT_TEXT] or None)
    return render(
        request,
        "predictions/list.html",
        rows=rows,
        more=more,
        cursor=cursor,
        unreadable=unreadable,
        is_on=state.serving.is_on,
    )


@router.get("/{model}", dependencies=READS)
async def model(
    request: Request, model: ServedName, state: StateDep, principal: AdmittedDep, cursor: str = ""
) -> Response:
    """Ask it, and see how it does."""
    found = await state.serving.named(model, principal)
    return await whole_page(request, state, principal, found, cursor=cursor[:SHORT_TEXT])


@router.get("/{model}/live", dependencies=READS)
async def live(request: Request, model: ServedName, state: StateDep, principal: AdmittedDep) -> Response:
    """How it is served and its versions do, as a part of the page."""
    found = await state.serving.named(model, principal)
    return render(request, "predictions/live.html", **await live_of(found, state.serving, principal))


@router.get("/{model}/latest", dependencies=READS)
async def latest(
    request: Request, model: ServedName, state: StateDep, principal: AdmittedDep, cursor: str = ""
) -> Response:
    """What it has answered lately, as a part of the page."""
    found = await state.serving.named(model, principal)
    shown = await latest_of(found, state.serving, principal, cursor[:SHORT_TEXT])
    return render(request, "predictions/latest.html", **shown)
