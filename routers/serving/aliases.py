"""Asking and feedback as clients in the field do it: thin aliases of `/serving/{model}`."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field, StringConstraints, ValidationError
from starlette.datastructures import Headers

from common.errors import InvalidRequest
from common.wire.specs import WireModel, WorkspaceName
from prediction.inference.records.documents import Verdict
from routers.dependencies import ServingDep
from routers.media.uploads import UploadDep
from routers.principal import READS, AdmittedDep, PrincipalDep
from routers.schemas.examples import PREDICTION_ID
from routers.serving import json_bodies
from routers.serving.asking import ANSWERS, BODY, answer, feedback
from routers.serving.reading import FORM, MULTIPART, AskedDep, WantedVersion, read_form
from routers.serving.views import GiveFeedback, JudgedPrediction
from submission.pipelines.digits import WORKSPACE as DIGITS

router = APIRouter(tags=["serving"])

User = Annotated[WorkspaceName, Path(description="The workspace, whose latest model is asked.")]

_FEEDBACK_BYTES = 64 * 1024


class ClientFeedback(WireModel):
    """What such clients say of a prediction."""

    prediction_id: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    correct: bool | None = None
    """Left out where `label` says it."""
    label: Annotated[str, StringConstraints(max_length=1000)] | None = None
    """The right one."""
    note: Annotated[str, Field(max_length=4000)] = ""


_EXAMPLES = {
    "wrong": {"summary": "wrong", "value": {"prediction_id": PREDICTION_ID, "correct": False, "label": "7"}}
}
_FEEDBACK_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": ClientFeedback.model_json_schema(), "examples": _EXAMPLES}
            for kind in ("application/json", FORM, MULTIPART)
        },
    }
}


@router.post(
    "/predict/{user}", dependencies=READS, response_class=Response, responses=ANSWERS, openapi_extra=BODY
)
async def predict_of_user(
    user: User,
    body: AskedDep,
    serving: ServingDep,
    principal: AdmittedDep,
    version: WantedVersion = "",
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Ask the model that a workspace's programs have made last, with key/values or images.

    JSON may be the values themselves: `{"age": 41}`.
    """
    model = await serving.latest_of(user, principal)
    return await answer(model, body, serving, principal, version, accept, is_bare=True)


@router.post("/predict", dependencies=READS, response_class=Response, responses=ANSWERS, openapi_extra=BODY)
async def predict_with_default(
    body: AskedDep,
    serving: ServingDep,
    principal: AdmittedDep,
    version: WantedVersion = "",
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Ask the model of SERVING_DEFAULT_MODEL, or the only one that is served."""
    model = await serving.default(principal)
    return await answer(model, body, serving, principal, version, accept, is_bare=True)


@router.post(
    "/digits/classify", dependencies=READS, response_class=Response, responses=ANSWERS, openapi_extra=BODY
)
async def classify_digits(
    body: AskedDep,
    serving: ServingDep,
    principal: AdmittedDep,
    version: WantedVersion = "",
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Which digit an image shows; the model that `POST /digits/train` made last answers."""
    model = await serving.latest_of(DIGITS, principal)
    return await answer(model, body, serving, principal, version, accept, is_bare=True)


@router.post("/feedback", dependencies=READS, openapi_extra=_FEEDBACK_BODY)
async def give_client_feedback(
    upload: UploadDep,
    serving: ServingDep,
    principal: PrincipalDep,
    content_type: Annotated[str, Header()] = "application/json",
) -> JudgedPrediction:
    """Say of a prediction whether it was right, as JSON or a form."""
    content = await upload.read(_FEEDBACK_BYTES, "feedback")
    said = await _said(content, content_type)
    record = await serving.records.get(said.prediction_id)
    model = await serving.named(record.model, principal)
    verdict = None if said.correct is None else Verdict.RIGHT if said.correct else Verdict.WRONG
    request = GiveFeedback(
        prediction_id=said.prediction_id, verdict=verdict, label=said.label, note=said.note
    )
    return await feedback(model, request, serving, principal)


async def _said(content: bytes, content_type: str) -> ClientFeedback:
    body: Any
    if content_type.partition(";")[0].strip().lower() in (FORM, MULTIPART):
        fields = (await read_form(Headers({"content-type": content_type}), content)).multi_items()
        body = {name: value for name, value in fields if isinstance(value, str)}
        if len(body) < len(fields):
            raise InvalidRequest("Each field of a form comes once, and none of them is a file.")
    else:
        body = json_bodies.parsed(content)
    try:
        return ClientFeedback.model_validate(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_context=False)) from error
