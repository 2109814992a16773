"""Which models are served, how, and how they do."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from common.models.versions import RegisteredModel, version_id
from common.wire.specs import SHORT_TEXT
from prediction.inference.images.formats import format_of
from prediction.inference.served.documents import ServedModel, ServingOptions
from routers.dependencies import ServingDep
from routers.pagination import Cursor, Limit, decode_cursor, encode_cursor, hint_for
from routers.principal import READS, SUBMITS, AdmittedDep, PrincipalDep
from routers.schemas import examples
from routers.serving.asking import ServedName
from routers.serving.declared import declaration_in_use
from routers.serving.views import (
    Ended,
    FieldView,
    PredictionPage,
    ServedModelDetails,
    ServedModelPage,
    ServedModelView,
    live_versions,
    record_views,
)
from submission.serving.opened import OpenServing

router = APIRouter(prefix="/serving", tags=["serving"])

_VERSIONS_SHOWN = 20

OCTETS = "application/octet-stream"
MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WebP": "image/webp", "TIFF": "image/tiff"}
"""Of files that are shown, by what their bytes are; SVG and HTML, for two, are not."""


@router.get("", dependencies=READS)
async def list_served(
    serving: ServingDep,
    principal: AdmittedDep,
    limit: Limit = 50,
    cursor: Annotated[str, Query(max_length=3 * SHORT_TEXT)] | None = None,
) -> ServedModelPage:
    """Models that are served, by name, with what answers for them in this service.

    Those that whoever asks may not ask are left out.
    """
    found = await serving.models.repository.all(after=cursor, limit=limit + 1)
    shown = [each for each in found[:limit] if await serving.may_ask(each.model, principal)]
    items = [ServedModelView.of(each, serving.models.known(each.model)) for each in shown]
    return ServedModelPage(
        items=items,
        next_cursor=found[limit - 1].model if len(found) > limit else None,
        hint=hint_for(items, "PUT /serving/{model} serves a model; so does asking it.", cursor),
    )


@router.get("/{model}", dependencies=READS)
async def get_served(model: ServedName, serving: ServingDep, principal: AdmittedDep) -> ServedModelDetails:
    """How a model is served, what it is asked with, and how its versions do."""
    found = await serving.named(model, principal)
    return await details(found, await serving.models.repository.get(found.name), serving)


@router.put("/{model}", dependencies=SUBMITS)
async def put_served(
    model: ServedName,
    options: Annotated[ServingOptions, examples.SERVING],
    serving: ServingDep,
    principal: PrincipalDep,
) -> ServedModelDetails:
    """Serve a model so from now on; what is left out gets its default.

    A version that is to answer is loaded beside the one that does, and takes over once it answers a probe:
    no question fails meanwhile, and a version that does not load changes nothing (`notes` say why).
    """
    found = await serving.named(model, principal)
    return await details(found, await serving.serve(found.name, options, principal), serving)


@router.delete("/{model}", dependencies=SUBMITS)
async def delete_served(model: ServedName, serving: ServingDep, principal: PrincipalDep) -> Ended:
    """Serve a model no more; what it was asked stays remembered. Its versions stay in the registry."""
    found = await serving.named(model, principal)
    await serving.end(found.name, principal)
    return Ended(model=found.name)


@router.get("/{model}/predictions", dependencies=READS)
async def list_predictions(
    model: ServedName,
    serving: ServingDep,
    principal: AdmittedDep,
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> PredictionPage:
    """What the model was asked and has answered lately, the latest first; shadows' answers, too."""
    found = await serving.named(model, principal)
    records = await serving.records.newest(found.name, before=decode_cursor(cursor), limit=limit + 1)
    page = records[:limit]
    items, unreadable = record_views(page)
    return PredictionPage(
        items=items,
        next_cursor=encode_cursor(page[-1].at, page[-1].id) if len(records) > limit else None,
        hint=hint_for(items, f"POST /serving/{model}/predict asks it.", cursor),
        unreadable=[*records.unreadable, *unreadable],
    )


@router.get(
    "/{model}/predictions/{prediction_id}/files/{field:path}",
    dependencies=READS,
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in (*MEDIA_TYPES.values(), OCTETS)}}},
)
async def get_prediction_file(
    model: ServedName,
    prediction_id: Annotated[str, Path(max_length=100)],
    field: Annotated[str, Path(max_length=SHORT_TEXT)],
    serving: ServingDep,
    principal: AdmittedDep,
    small: bool = False,
) -> Response:
    """An image that was sent with a question, as it came; with `small=true` a small PNG of it, upright."""
    found = await serving.named(model, principal)
    content = await serving.records.file(found.name, prediction_id, field)
    if small:
        content = await serving.story.small_picture(content)
    media_type = MEDIA_TYPES.get(format_of(content), OCTETS)
    shown = "inline" if media_type in MEDIA_TYPES.values() else "attachment"
    headers = {
        "Cache-Control": "private, max-age=600",
        "Content-Disposition": shown,
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
        "Vary": "Authorization, Cookie",
        "X-Content-Type-Options": "nosniff",  # it is what we say, or nothing
    }
    return Response(content, media_type=media_type, headers=headers)


async def details(model: RegisteredModel, served: ServedModel, serving: OpenServing) -> ServedModelDetails:
    """A served model with its declaration and figures."""
    registry = serving.models.registry
    latest = await registry.versions(model.name, limit=_VERSIONS_SHOWN)
    figures = await serving.records.figures(model.name)
    named = [alias.version for alias in model.aliases.values()]
    older = {*named, *(each.version for each in figures)} - {each.version for each in latest}
    others = await registry.several(version_id(model.name, number) for number in older)
    declaration = await declaration_in_use(model, served, serving)
    return ServedModelDetails(
        **ServedModelView.fields_of(served, serving.models.known(model.name)),
        fields=[FieldView.model_validate(asdict(field)) for field in declaration.fields],
        takes_any_keys=declaration.extra_inputs,
        example=declaration.example(),
        versions=live_versions([*latest, *others.values()], figures),
    )
