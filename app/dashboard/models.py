"""The pages with models: versions, figures, what they learned from; promote and roll back."""

from typing import Annotated

from fastapi import APIRouter, Form, Path, Request, Response

from app.dashboard.rendering import render, see_other
from common.models.versions import CHAMPION
from common.wire.specs import SHORT_TEXT
from routers.dependencies import ModelsDep, StateDep
from routers.principal import OPERATES, READS, PrincipalDep
from submission.accuracy.drift import drift_of

router = APIRouter(prefix="/models")

PAGE = 50

ModelName = Annotated[str, Path(min_length=1, max_length=3 * SHORT_TEXT)]
Version = Annotated[int, Path(ge=1, le=2**31)]


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
async def model(request: Request, name: ModelName, models: ModelsDep, state: StateDep) -> Response:
    """Its versions, newest first, and what served when."""
    found = await models.registry.get_model(name)
    versions = await models.registry.versions(name, limit=PAGE)
    observed = await state.accuracy.accuracies.observed([each.id for each in versions])
    band = state.accuracy.band
    return render(
        request,
        "models/one.html",
        model=found,
        versions=versions,
        observed=observed,
        drifts={each.id: drift_of(each, observed.get(each.id), band) for each in versions},
        changes=list(reversed(found.alias_changes)),
    )


@router.post("/{name}/versions/{version}/promote", dependencies=OPERATES)
async def promote(
    request: Request,
    name: ModelName,
    version: Version,
    models: ModelsDep,
    principal: PrincipalDep,
    reason: Annotated[str, Form(max_length=1000)] = "on request",
) -> Response:
    """Let it serve, then show the model again; an older version is a roll-back."""
    await models.set_alias(name, CHAMPION, version, reason, by=principal.name)
    return see_other(request, f"/models/{name}")
