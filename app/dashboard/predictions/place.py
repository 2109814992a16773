"""A model on its page: what it is asked with, what it has answered, how it is served."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response

from app.dashboard.predictions.inputs import Input, Pair, inputs_of, pairs_of
from app.dashboard.predictions.options import typed_for
from app.dashboard.rendering import render
from common.auth import Principal
from common.errors import ServiceError
from common.models.versions import RegisteredModel
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.questions import Prediction, RowOutcome
from prediction.inference.served.documents import ServedModel
from routers.serving.declared import declaration_in_use
from routers.serving.managing import details, list_predictions
from routers.serving.views import FailedRow, PredictionPage, PredictionView, ServedModelDetails
from routers.state import ServiceState
from submission.serving.opened import OpenServing

_PREDICTIONS = 15

_SHOWN_CHARACTERS = 4000
"""Of an answer, and of an example."""


@dataclass(frozen=True)
class Answer:
    """What the page says of a row that was asked."""

    name: str
    """Of its image; empty where there is none."""
    prediction: PredictionView | None
    error: FailedRow | None
    whole: str
    """The answer as JSON; empty where its label says it all."""
    picture: str
    """Field of an image that is remembered; empty: there is none."""


@dataclass(frozen=True)
class AskForm:
    """What a model is asked with, as it was typed."""

    inputs: Sequence[Input]
    pairs: Sequence[Pair]
    takes_any_keys: bool
    labels: Sequence[str]
    """All that the model knows; empty where it says none."""
    example: str
    """`inputs` of a question as JSON; empty where that is too long to be shown."""
    version: str
    """That is to answer; empty: the one that is chosen."""


@dataclass(frozen=True)
class Shown:
    """A model, as its page shows it."""

    model: RegisteredModel
    details: ServedModelDetails
    is_served: bool


def page_of(model: str) -> str:
    """Address of its page, below the root of all pages."""
    return f"/prediction/{quote(model, safe='')}"


async def form_of(
    model: RegisteredModel, serving: OpenServing, typed: Mapping[str, str] | None = None
) -> AskForm:
    """The form that asks it.

    Args:
        typed: What stands in it; with `add` it gets another pair. None: defaults do.
    """
    declaration = await _declaration(model, serving)
    pairs = pairs_of(typed) if typed is not None else []
    if not pairs or (typed is not None and "add" in typed):
        pairs = [*pairs, Pair(max((pair.number for pair in pairs), default=0) + 1)]
    example = json.dumps(declaration.example(), ensure_ascii=False)
    return AskForm(
        inputs_of(declaration, typed),
        pairs,
        declaration.extra_inputs,
        declaration.output.labels or [],
        example if len(example) <= _SHOWN_CHARACTERS else "",
        (typed or {}).get("version", ""),
    )


async def labels_of(model: RegisteredModel, serving: OpenServing) -> Sequence[str]:
    """All that it knows; empty where it says none."""
    return (await _declaration(model, serving)).output.labels or []


async def _declaration(model: RegisteredModel, serving: OpenServing) -> Declaration:
    served = await serving.models.repository.find(model.name) or ServedModel(model=model.name)
    return await declaration_in_use(model, served, serving)


async def former(model: str, serving: OpenServing) -> ServedModel:
    """How a model that is not served would be: as before it was ended, or with defaults."""
    return await serving.models.repository.find_ended(model) or ServedModel(model=model)


async def live_of(model: RegisteredModel, serving: OpenServing, principal: Principal) -> dict[str, Any]:
    """What `live.html` says: how it is served, and how its versions do."""
    served = await serving.models.repository.find(model.name)
    found = served or await former(model.name, serving)
    registered = await serving.models.registry.get_model(model.name)
    return {
        "shown": Shown(registered, await details(model, found, serving), served is not None),
        "may_serve": await serving.may_serve(model.name, principal),
        "here": page_of(model.name),
    }


async def latest_of(
    model: RegisteredModel, serving: OpenServing, principal: Principal, cursor: str
) -> dict[str, Any]:
    """What `latest.html` says: the latest predictions, or those before a cursor."""
    predictions: PredictionPage = await list_predictions(
        model.name, serving, principal, limit=_PREDICTIONS, cursor=cursor or None
    )
    return {
        "predictions": predictions,
        "cursor": cursor,
        "model_name": model.name,
        "labels": await labels_of(model, serving),
        "here": page_of(model.name),
    }


async def whole_page(
    request: Request,
    state: ServiceState,
    principal: Principal,
    model: RegisteredModel,
    *,
    cursor: str = "",
    typed: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
    status: int = 200,
    **context: Any,
) -> Response:
    """The page of a model.

    Args:
        typed: Into the form that asks.
        options: Into the form that says how it is served.
    """
    serving = state.serving
    live = await live_of(model, serving, principal)
    latest = await latest_of(model, serving, principal, cursor)
    nothing: dict[str, Any] = {"answers": [], "errors": {}, "refusal": "", "option_errors": {}}
    page = render(
        request,
        "predictions/model.html",
        form=await form_of(model, serving, typed),
        options={**typed_for(live["shown"].details.options), **(options or {})},
        is_on=serving.is_on,
        **{**live, **latest, **nothing, **context},
    )
    page.status_code = status
    return page


def answer_of(outcome: RowOutcome, name: str, fields: Sequence[str]) -> Answer:
    """What is shown of an outcome.

    Args:
        fields: With an image in this row.
    """
    if isinstance(outcome, ServiceError):
        return Answer(name, None, FailedRow.of(outcome), "", "")
    assert isinstance(outcome, Prediction), "there is nothing else"
    shown = PredictionView.of(outcome)
    whole = ""
    if shown.label is None or shown.answer != shown.label:
        whole = json.dumps(shown.answer, ensure_ascii=False, indent=2)
        whole = whole if len(whole) <= _SHOWN_CHARACTERS else f"{whole[:_SHOWN_CHARACTERS]} …"
    return Answer(name, shown, None, whole, fields[0] if fields and shown.prediction_id else "")
