"""How a model is served, from its page: serve, end, promote, roll back; and feedback."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import ValidationError

from app.dashboard.predictions.options import at_input, options_of
from app.dashboard.predictions.place import former, labels_of, page_of, whole_page
from app.dashboard.rendering import render, see_other
from app.dashboard.submission_form import FormError, typed_in
from common.errors import Forbidden, InvalidRequest, ServiceError
from common.models.versions import CHAMPION
from prediction.inference.served.documents import ServingOptions
from routers.dependencies import ModelsDep, ServingDep, StateDep
from routers.models import VersionNumber
from routers.principal import OPERATES, READS, SUBMITS, PrincipalDep
from routers.serving.asking import ServedName, feedback
from routers.serving.views import GiveFeedback

router = APIRouter(prefix="/prediction/{model}")


@router.post("/serve", dependencies=SUBMITS)
async def serve(request: Request, model: ServedName, state: StateDep, principal: PrincipalDep) -> Response:
    """Serve it as typed, or with defaults; what is refused stays in the form."""
    serving = state.serving
    found = await serving.named(model, principal)
    typed = typed_in(await request.form())
    try:
        served = await serving.models.repository.find(found.name)
        if "version" in typed:
            present = served or await former(found.name, serving)
            await serving.serve(found.name, options_of(typed, present.options), principal)
        elif served is None:
            await serving.serve(found.name, ServingOptions(), principal)
        return see_other(request, page_of(found.name))
    except FormError as error:
        errors, status = error.errors, 422
    except Forbidden:
        raise  # there is no form for them
    except ServiceError as error:
        errors, status = at_input(str(error)), error.status
    return await whole_page(
        request, state, principal, found, options=typed, option_errors=errors, status=status
    )


@router.post("/end", dependencies=SUBMITS)
async def end(request: Request, model: ServedName, serving: ServingDep, principal: PrincipalDep) -> Response:
    """Serve it no more, then show it again."""
    found = await serving.named(model, principal)
    await serving.end(found.name, principal)
    return see_other(request, page_of(found.name))


@router.post("/versions/{version}/promote", dependencies=OPERATES)
async def promote(
    request: Request,
    model: ServedName,
    version: VersionNumber,
    serving: ServingDep,
    models: ModelsDep,
    principal: PrincipalDep,
) -> Response:
    """Let the version be the champion, then show the model again; an older version is a roll-back."""
    found = await serving.named(model, principal)
    await models.set_alias(found.name, CHAMPION, version, "on request", by=principal.name)
    return see_other(request, page_of(found.name))


@router.post("/feedback", dependencies=READS)
async def say(
    request: Request,
    model: ServedName,
    serving: ServingDep,
    principal: PrincipalDep,
    prediction_id: Annotated[str, Form(max_length=100)],
    verdict: Annotated[str, Form(max_length=10)] = "",
    label: Annotated[str, Form(max_length=1000)] = "",
    place: Annotated[str, Form(max_length=10)] = "list",
) -> Response:
    """Say of a prediction whether it was right, and what would have been; then show that.

    Args:
        place: Where on the page it is said.
    """
    found = await serving.named(model, principal)
    try:
        request_ = GiveFeedback.model_validate(
            {"prediction_id": prediction_id, "verdict": verdict or None, "label": label.strip() or None}
        )
    except ValidationError as error:
        raise InvalidRequest("Say right or wrong.") from error
    record = await feedback(found, request_, serving, principal)
    if "HX-Request" not in request.headers:
        return see_other(request, f"{page_of(found.name)}#prediction-{record.id}")
    return render(
        request,
        "predictions/said_part.html",
        prediction=record,
        place="card" if place == "card" else "list",
        labels=await labels_of(found, serving),
        here=page_of(found.name),
    )
