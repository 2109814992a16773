"""The model registry: models, versions, and which one serves."""

import contextlib
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field, StringConstraints

from common.forms import Form
from common.models.versions import Alias, AliasChange, ModelVersion, RegisteredModel, VersionState
from common.mongo.stored import UnreadableDocument
from common.wire.specs import SHORT_TEXT, NoBoolean, WireModel
from prediction.serving.models import Models
from routers.dependencies import ModelsDep
from routers.pagination import Hint, Unreadable, hint_for
from routers.principal import OPERATES, READS, PrincipalDep
from routers.schemas import examples

router = APIRouter(prefix="/models", tags=["models"])

ModelName = Annotated[str, Path(min_length=1, max_length=3 * SHORT_TEXT)]
VersionNumber = Annotated[int, Path(ge=1, le=2**31)]
AliasName = Annotated[
    str,
    Path(),
    Form(
        r"^[a-z][a-z0-9_-]{0,63}$",
        "up to 64 lower-case letters, digits, _ and - that begin with a letter, such as champion",
    ),
]


class ModelSummary(WireModel):
    name: str
    kind: str
    system_name: str
    algorithm_name: str
    latest_version: int
    champion: int | None
    """The version that serves."""
    aliases: dict[str, Alias]


class ModelPage(WireModel):
    items: list[ModelSummary]
    next_cursor: str | None
    hint: Hint = None
    unreadable: Unreadable


class VersionView(ModelVersion):
    aliases: list[str]
    cached_here: bool
    """Whether this service has the version's files in memory."""


class ModelView(ModelSummary):
    cached_here: bool
    """Whether this service has the champion's files in memory."""
    cached_versions: list[int]
    champion_version: VersionView | None
    """Null also where this version of the service cannot read it."""
    alias_changes: list[AliasChange]
    """What the aliases have named, newest first."""


class VersionPage(WireModel):
    items: list[VersionView]
    next_cursor: str | None
    hint: Hint = None
    unreadable: Unreadable


class SetAlias(WireModel):
    version: Annotated[int, Field(ge=1, le=2**31), NoBoolean]
    reason: Annotated[str, StringConstraints(max_length=1000)] = "on request"


def _summary(model: RegisteredModel) -> dict[str, object]:
    fields = model.model_dump(by_alias=False, exclude={"alias_changes", "created_at"})
    return {**fields, "champion": model.champion}


def _version(version: ModelVersion, model: RegisteredModel, models: Models) -> VersionView:
    return VersionView.model_validate(
        {
            **version.model_dump(by_alias=False),
            "aliases": sorted(name for name, of in model.aliases.items() if of.version == version.version),
            "cached_here": models.is_cached(version),
        }
    )


async def _model(model: RegisteredModel, models: Models) -> ModelView:
    champion = None
    if model.champion is not None:
        with contextlib.suppress(UnreadableDocument):  # at its own address it says why
            champion = await models.registry.get_version(model.name, model.champion)
    if champion is not None:
        champion.training_data.run_ids = []  # of one version, at its own address
        champion.training_data.held_out_run_ids = []
    return ModelView.model_validate(
        {
            **_summary(model),
            "cached_here": champion is not None and models.is_cached(champion),
            "cached_versions": models.cache.cached_versions(model.name),
            "champion_version": _version(champion, model, models) if champion else None,
            "alias_changes": model.alias_changes[::-1],
        }
    )


@router.get("", dependencies=READS)
async def list_models(
    models: ModelsDep,
    algorithm_name: Annotated[str, StringConstraints(max_length=SHORT_TEXT)] | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str, Query(max_length=3 * SHORT_TEXT)] | None = None,
) -> ModelPage:
    """Registered models by name; `cursor` is `next_cursor` of the page before."""
    found = await models.registry.models(algorithm_name=algorithm_name, after=cursor, limit=limit + 1)
    page = [ModelSummary.model_validate(_summary(model)) for model in found[:limit]]
    return ModelPage(
        items=page,
        next_cursor=page[-1].name if len(found) > limit else None,
        hint=hint_for(page, "POST /training/trigger_model_training makes a model.", algorithm_name, cursor),
        unreadable=found.unreadable,
    )


@router.get("/{name}", dependencies=READS)
async def get_model(name: ModelName, models: ModelsDep) -> ModelView:
    """One model: which version serves and since when, what served before, and what is in memory here."""
    return await _model(await models.registry.get_model(name), models)


@router.get("/{name}/versions", dependencies=READS)
async def list_versions(
    name: ModelName,
    models: ModelsDep,
    state: VersionState | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int, Query(ge=1, le=2**31)] | None = None,
) -> VersionPage:
    """Versions, newest first, without the ids of their runs; deleted ones with `state=DELETED`."""
    model = await models.registry.get_model(name)
    found = await models.registry.versions(name, state=state, before=cursor, limit=limit + 1)
    page = [_version(version, model, models) for version in found[:limit]]
    return VersionPage(
        items=page,
        next_cursor=str(page[-1].version) if len(found) > limit else None,
        hint=hint_for(page, "POST /training/trigger_model_training makes a version.", state, cursor),
        unreadable=found.unreadable,
    )


@router.get("/{name}/versions/{version}", dependencies=READS)
async def get_version(name: ModelName, version: VersionNumber, models: ModelsDep) -> VersionView:
    """One version: what it learned from, its figures, its files, and how it came to serve or not."""
    model = await models.registry.get_model(name)
    return _version(await models.registry.get_version(name, version), model, models)


@router.post("/{name}/versions/{version}/verify", dependencies=OPERATES)
async def verify_version(name: ModelName, version: VersionNumber, models: ModelsDep) -> VersionView:
    """Compare the stored files with what was published; `state` tells the outcome.

    A champion that is found damaged gives way to the one before. A damaged version whose files were
    restored is ready again.
    """
    found = await models.verify(name, version)
    return _version(found, await models.registry.get_model(name), models)


@router.delete("/{name}/versions/{version}", dependencies=OPERATES)
async def delete_version(name: ModelName, version: VersionNumber, models: ModelsDep) -> VersionView:
    """Delete a version's files; the entry stays as `DELETED`. 409 while an alias names it."""
    found = await models.delete_version(name, version)
    return _version(found, await models.registry.get_model(name), models)


@router.put("/{name}/aliases/{alias}", dependencies=OPERATES)
async def set_alias(
    name: ModelName,
    alias: AliasName,
    request: Annotated[SetAlias, examples.ALIAS],
    models: ModelsDep,
    principal: PrincipalDep,
) -> ModelView:
    """Let an alias name a version; `champion` serves from the next request on, in every service."""
    changed = await models.set_alias(name, alias, request.version, request.reason, by=principal.name)
    return await _model(changed, models)


@router.delete("/{name}/aliases/{alias}", dependencies=OPERATES)
async def remove_alias(
    name: ModelName, alias: AliasName, models: ModelsDep, principal: PrincipalDep
) -> ModelView:
    """Remove an alias; without a `champion` nothing is predicted with this model."""
    changed = await models.registry.remove_alias(name, alias, "removed on request", by=principal.name)
    return await _model(changed, models)
