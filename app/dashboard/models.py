"""The pages with models: versions, figures, what they learned from; promote and roll back."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.dashboard.rendering import render, see_other
from common.models.versions import CHAMPION, PROGRAM_KIND
from common.wire.specs import SHORT_TEXT
from routers.dependencies import ModelsDep, StateDep
from routers.models import ModelName, VersionNumber
from routers.principal import OPERATES, READS, PrincipalDep
from submission.accuracy.drift import drift_of

router = APIRouter(prefix="/models")

PAGE = 50


@router.get("", dependencies=READS)
async def models(request: Request, models: ModelsDep, cursor: str = "") -> Response:
    """By name."""
    found = await models.registry.models(after=cursor[: 3 * SHORT_TEXT] or None, limit=PAGE + 1)
    page = found[:PAGE]
    champions = await models.registry.champions(page)
    return render(
        request,
        "models/list.html",
        models=page,
        champions=champions,
        more=page[-1].name if len(found) > PAGE else "",
        unreadable=found.unreadable,
    )


@router.get("/{name}", dependencies=READS)
async def model(
    request: Request,
    name: ModelName,
    models: ModelsDep,
    state: StateDep,
    before: Annotated[int | None, Query(ge=1, le=2**31)] = None,
) -> Response:
    """Its versions, newest first, and what served when.

    Args:
        before: Number of the last version already seen.
    """
    found = await models.registry.get_model(name)
    several = await models.registry.versions(name, before=before, limit=PAGE + 1)
    versions = several[:PAGE]
    observed = await state.accuracy.accuracies.observed([each.id for each in versions])
    band = state.accuracy.band
    return render(
        request,
        "models/one.html",
        model=found,
        is_of_a_program=found.kind == PROGRAM_KIND,
        versions=versions,
        before=before,
        more=versions[-1].version if len(several) > PAGE else None,
        unreadable=several.unreadable,
        observed=observed,
        drifts={each.id: drift_of(each, observed.get(each.id), band) for each in versions},
        changes=list(reversed(found.alias_changes)),
    )


@router.post("/{name}/versions/{version}/promote", dependencies=OPERATES)
async def promote(
    request: Request, name: ModelName, version: VersionNumber, models: ModelsDep, principal: PrincipalDep
) -> Response:
    """Let it serve, then show the model again; an older version is a roll-back."""
    await models.set_alias(name, CHAMPION, version, "on request", by=principal.name)
    return see_other(request, f"/models/{name}")
