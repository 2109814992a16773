"""Asking a model, and saying whether it was right."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Response
from fastapi.responses import PlainTextResponse

from common.auth import Principal
from common.errors import InvalidRequest, ServiceError
from common.models.versions import RegisteredModel
from common.wire.specs import SHORT_TEXT
from prediction.inference.questions import Prediction, QuestionList, Questions, RowOutcome
from prediction.inference.queue.sizes import off_the_loop
from prediction.inference.records.documents import Feedback, Verdict
from prediction.inference.served.documents import VersionOrAlias
from routers.dependencies import ServingDep
from routers.media.accepting import wants_text
from routers.principal import READS, AdmittedDep, PrincipalDep
from routers.schemas import examples
from routers.serving.declared import declaration_asked
from routers.serving.reading import (
    FORM,
    IMAGE_KINDS,
    MULTIPART,
    Asked,
    AskedBody,
    AskedDep,
    AskModel,
    WantedVersion,
    version_of,
)
from routers.serving.views import GiveFeedback, JudgedPrediction, Predictions, PredictionView
from submission.serving.opened import OpenServing

router = APIRouter(prefix="/serving", tags=["serving"])

ServedName = Annotated[
    str,
    Path(
        min_length=1,
        max_length=3 * SHORT_TEXT,
        description="The model's name in the registry, or without `spark.` before and `.program` after it.",
    ),
]

_FORM_SCHEMA = {
    "type": "object",
    "description": "Fields of the model, and images as uploads; several under one name are several rows."
    " `version` is the one that is to answer, unless the model has a field of this name.",
    "additionalProperties": True,
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": AskModel.model_json_schema(),
                "examples": {
                    "one_row": {"summary": "one row", "value": {"inputs": {"age": 41, "city": "Berlin"}}},
                    "several_rows": {
                        "summary": "several rows",
                        "value": {"inputs": [{"age": 41}, {"age": 17}]},
                    },
                },
            },
            MULTIPART: {"schema": _FORM_SCHEMA},
            FORM: {"schema": _FORM_SCHEMA},
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in IMAGE_KINDS},
        },
    }
}

_LABELS_SHOWN = 20

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": PredictionView | Predictions,
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/{model}/predict", dependencies=READS, response_class=Response, responses=ANSWERS, openapi_extra=BODY
)
async def predict(
    model: ServedName,
    body: AskedDep,
    serving: ServingDep,
    principal: AdmittedDep,
    version: WantedVersion = "",
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Ask a model one row or several.

    Values are typed by the version's signature; images come as uploads, as the body itself, or as base64 in
    JSON. With `Accept: text/plain` the labels alone, or what the model says, a line for each row.

    A model that is not served yet is, with defaults, if whoever asks may run its workspace's programs.
    """
    found = await serving.named(model, principal)
    return await answer(found, body, serving, principal, version, accept)


async def answer(
    model: RegisteredModel,
    body: AskedBody,
    serving: OpenServing,
    principal: Principal,
    version: str,
    accept: str,
    *,
    is_bare: bool = False,
) -> Response:
    """The answer to a question, in the form that is wanted.

    Args:
        version: That is wanted, as the address says; empty: it does not.
        is_bare: As `AskedBody.read` has it.
    Raises:
        ClientGone: Nobody waits for it any more.
        ServiceError: What the only row has failed with.
    """
    wanted = version_of(version)

    async def is_field(name: str) -> bool:
        return name in (await declaration_asked(model, wanted, serving)).inputs

    asked = await body.read(is_field, is_bare=is_bare)
    if wanted is not None:
        asked.version = wanted
    outcomes = await body.while_there(ask(model, asked, serving, principal))
    for each in outcomes:
        if isinstance(each, Prediction):
            each.notes.extend(asked.notes)
    if not asked.is_list and isinstance(outcomes[0], ServiceError):
        raise outcomes[0]
    size_bytes = sum(each.size_bytes for each in outcomes if isinstance(each, Prediction))
    return await off_the_loop(size_bytes, _response, asked, outcomes, accept)


def _response(asked: Asked, outcomes: list[RowOutcome], accept: str) -> Response:
    if wants_text(accept):
        lines = "".join(f"{text_of(each)}\n" for each in outcomes)
        return PlainTextResponse(lines, headers={"Vary": "Accept", **_headers(outcomes)})
    if asked.is_list:
        shown: PredictionView | Predictions = Predictions.of(outcomes)
    else:
        assert isinstance(outcomes[0], Prediction), "errors were raised"
        shown = PredictionView.of(outcomes[0])
    # Written by pydantic: answers of a thousand scores would take json a millisecond each time.
    content = shown.model_dump_json()
    return Response(content, media_type="application/json", headers={"Vary": "Accept"})


async def ask(
    model: RegisteredModel, asked: Asked, serving: OpenServing, principal: Principal
) -> list[RowOutcome]:
    """Answers of a model that is served, or is so from now on."""
    questions = QuestionList(asked.questions, asked.body_bytes)
    return await asked_of(model, questions, serving, principal, asked.version)


async def asked_of(
    model: RegisteredModel,
    questions: Questions,
    serving: OpenServing,
    principal: Principal,
    version: VersionOrAlias | None,
) -> list[RowOutcome]:
    """The same of questions of any kind."""
    await serving.ensure_served(model, principal)
    return await serving.story.ask(model.name, questions, by=principal.name, wanted=version)


@router.post("/{model}/feedback", dependencies=READS)
async def give_feedback(
    model: ServedName,
    request: Annotated[GiveFeedback, examples.FEEDBACK],
    serving: ServingDep,
    principal: PrincipalDep,
) -> JudgedPrediction:
    """Say of a prediction whether it was right, and what would have been; the latest word counts.

    It is counted into the version's live figures, and the next training of the model is given it
    (`ENEL_FEEDBACK_DIR`), with what was asked.
    """
    return await feedback(await serving.named(model, principal), request, serving, principal)


async def feedback(
    model: RegisteredModel, request: GiveFeedback, serving: OpenServing, principal: Principal
) -> JudgedPrediction:
    """Remember it. Raises InvalidRequest where it says nothing, or two things."""
    verdict, notes = request.verdict, []
    if request.label is not None:
        prediction = await serving.records.get(request.prediction_id)
        is_same = prediction.label == request.label
        if verdict is None:
            verdict = Verdict.RIGHT if is_same else Verdict.WRONG
        elif prediction.label is not None and is_same != (verdict is Verdict.RIGHT):
            raise InvalidRequest(
                f"verdict: {verdict} and the right label {request.label[:100]!r} contradict each other: the"
                f" model said {prediction.label[:100]!r}."
            )
        labels = (await declaration_asked(model, prediction.version, serving)).output.labels
        if labels is not None and request.label not in labels:
            shown = ", ".join(labels[:_LABELS_SHOWN])
            notes.append(
                f"{request.label[:100]!r} is none of the {len(labels)} labels of this version: {shown}"
            )
    if verdict is None:
        raise InvalidRequest("verdict: say right or wrong, or give the right label.")
    said = Feedback(verdict=verdict, label=request.label, note=request.note, by=principal.name)
    record = await serving.records.give_feedback(model.name, request.prediction_id, said)
    serving.instruments.feedback.labels(verdict).inc()
    return JudgedPrediction.of(record, notes)


def text_of(outcome: RowOutcome) -> str:
    """An outcome as one line."""
    if isinstance(outcome, ServiceError):
        return f"error: {' '.join(str(outcome).split())}"
    said = outcome.label if outcome.label is not None else outcome.answer
    return " ".join(said.split("\n")) if isinstance(said, str) else str(said)


def _headers(outcomes: list[RowOutcome]) -> dict[str, str]:
    """What plain text does not say."""
    first = next((each for each in outcomes if isinstance(each, Prediction)), None)
    if first is None:
        return {}
    found = {"X-Model": first.model, "X-Model-Version": str(first.version)}
    return {**found, "X-Prediction-Id": first.id} if first.id is not None else found
