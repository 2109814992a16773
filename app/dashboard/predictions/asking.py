"""Asking a model on its page, and saying whether it was right."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import FormData

from app.dashboard.predictions.inputs import asked_by, errors_by_input
from app.dashboard.predictions.place import Answer, AskForm, answer_of, form_of, page_of, whole_page
from app.dashboard.rendering import render
from app.dashboard.submission_form import FormError, typed_in
from app.dashboard.visitors import check_form
from common.auth import Principal
from common.errors import ServiceError
from common.models.versions import RegisteredModel
from prediction.inference.questions import Question, RowOutcome
from routers.dependencies import AccessDep, StateDep
from routers.media.presence import while_there
from routers.principal import READS, AdmittedDep
from routers.serving.asking import ServedName, ask
from routers.serving.reading import Asked, AskedDep
from submission.serving.opened import OpenServing

router = APIRouter(prefix="/prediction")
"""Without `visitors.Checked`, which reads bodies as small as those of other forms: `question_form` checks."""


@dataclass
class Told:
    """What became of a form that asks."""

    answers: list[Answer] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    """By input."""
    refusal: str = ""
    """Of all of it."""
    status: int = 200


async def question_form(request: Request, body: AskedDep, access: AccessDep) -> FormData:
    """A form that asks, as large as questions of the API may be.

    Raises:
        Forbidden: It was sent without the token that its page has.
        PayloadTooLarge, InvalidRequest: As `AskedBody.read` does.
    """
    form = await body.form()
    check_form(request, access, form)
    return form


@router.post("/{model}", dependencies=READS)
async def ask_model(
    request: Request,
    model: ServedName,
    form: Annotated[FormData, Depends(question_form)],
    state: StateDep,
    principal: AdmittedDep,
) -> Response:
    """Ask it, and show the answers; what was typed stays.

    For the page's script a part of the page alone: the form with what is wrong, and the answers.
    """
    found = await state.serving.named(model, principal)
    typed = typed_in(form)
    wanted = await form_of(found, state.serving, typed)
    told = Told()
    if "add" not in typed:
        asking = _told(found, form, typed, wanted, state.serving, principal)
        told = await while_there(request, asking)
    context: dict[str, Any] = {"answers": told.answers, "errors": told.errors, "refusal": told.refusal}
    if "HX-Request" not in request.headers:
        return await whole_page(request, state, principal, found, typed=typed, status=told.status, **context)
    here = page_of(found.name)
    part = render(request, "predictions/ask.html", form=wanted, here=here, loaded=[], **context)
    part.status_code = told.status
    return part


async def _told(
    model: RegisteredModel,
    form: FormData,
    typed: Mapping[str, str],
    wanted: AskForm,
    serving: OpenServing,
    principal: Principal,
) -> Told:
    try:
        asked = asked_by(form, wanted.inputs)
        version = _number(typed.get("version", ""))
        outcomes = await ask(
            model, Asked(questions=list(asked.questions), version=version), serving, principal
        )
    except FormError as error:
        return Told(errors=error.errors, status=422)
    except ServiceError as error:
        return Told(refusal=str(error), status=error.status)
    return _of_rows(outcomes, asked.questions, asked.names, wanted)


def _of_rows(
    outcomes: Sequence[RowOutcome], questions: Sequence[Question], names: Sequence[str], wanted: AskForm
) -> Told:
    told = Told()
    for outcome, question, name in zip(outcomes, questions, names, strict=True):
        if isinstance(outcome, ServiceError):
            at_inputs = errors_by_input(outcome, wanted.inputs, wanted.pairs, question)
            told.errors |= at_inputs
            if len(outcomes) == 1:
                told.status = outcome.status
            if at_inputs and len(at_inputs) == len(outcome.members["errors"]):
                continue  # all of it stands beside the inputs
        told.answers.append(answer_of(outcome, name, list(question.files)))
    return told


def _number(text: str) -> int | None:
    """Of the version that is to answer; None: the one that is chosen."""
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text) else None
