"""The page to submit an application: what each scale-out would mean while one types, then off it goes."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request, Response

from app.dashboard.rendering import render, see_other
from app.dashboard.submission_form import (
    DEFAULTS,
    FIELDS,
    OTHERS,
    SCHEDULE,
    FormError,
    body_of,
    recurs,
    request_of,
    schedule_of,
    typed_for,
    typed_in,
)
from common.access.limits import TooManyRequests
from common.errors import ServiceError
from common.mongo.document import utc_now
from common.wire.specs import SHORT_TEXT
from prediction.policies.registry import POLICIES
from routers import submission as api
from routers.dependencies import (
    AccessDep,
    ExecutionsDep,
    ProgramsDep,
    StateDep,
    SubmissionSchedulesDep,
    SubmissionsDep,
)
from routers.principal import SUBMITS, PrincipalDep
from routers.schedules import create_schedule
from submission.idempotency import IdempotencyKeyReused

router = APIRouter(prefix="/submit")

DUE_SHOWN = 5
"""Next times of a schedule."""

_KEY = "key"
"""Of the form, so that a second click submits nothing."""


def _form(request: Request, executions: list[str], typed: Mapping[str, str], **more: Any) -> Response:
    empty = dict.fromkeys((*FIELDS, OTHERS, *SCHEDULE), "")
    return render(
        request,
        "submit/form.html",
        typed={**empty, "time_zone": "UTC", **typed},
        algorithms=executions,
        policies=list(POLICIES),
        key=typed.get(_KEY) or uuid4().hex,
        **{"errors": {}, **more},
    )


@router.get("", dependencies=SUBMITS)
async def form(request: Request, executions: ExecutionsDep) -> Response:
    """With `?from=` an earlier run's id as that one was submitted, otherwise the bundled example."""
    earlier = request.query_params.get("from", "")[:SHORT_TEXT]
    typed = typed_for(await executions.get(earlier)) if earlier else DEFAULTS
    return _form(request, await executions.algorithms(), typed)


@router.post("/what-if", dependencies=SUBMITS)
async def what_if(
    request: Request, submissions: SubmissionsDep, state: StateDep, principal: PrincipalDep
) -> Response:
    """What a submission would start with and lead to, as a part of the page; nothing is stored."""
    typed = typed_in(await request.form())
    planned, body, errors, due, recurs_in_words = None, "", {}, [], ""
    try:
        schedule = schedule_of(typed) if recurs(typed) else None
        if schedule is not None:
            due, recurs_in_words = schedule.next_due(utc_now(), DUE_SHOWN), schedule.in_words
        planned = await api.submit(
            schedule.submission if schedule is not None else request_of(typed),
            submissions,
            state.programs,
            state.access,
            principal,
            Response(),
            dry_run=True,
        )
        body = json.dumps(body_of(typed), indent=2)
        if not planned.k8s_api_response.get("accepted", True):
            errors = {"": str(planned.k8s_api_response.get("reason") or "The platform refuses it.")}
    except FormError as error:
        errors = error.errors
    except TooManyRequests:
        raise  # says nothing of what was typed
    except ServiceError as error:
        errors = {"": str(error)}
    price = state.executor_hour_price
    shown = {"planned": planned, "errors": errors, "body": body, "due": due, "recurs": recurs_in_words}
    return render(request, "submit/what_if.html", **shown, price=price)


@router.post("", dependencies=SUBMITS)
async def submit(
    request: Request,
    submissions: SubmissionsDep,
    schedules: SubmissionSchedulesDep,
    executions: ExecutionsDep,
    programs: ProgramsDep,
    access: AccessDep,
    principal: PrincipalDep,
) -> Response:
    """Submit, or have it submitted again and again, and go there; what is refused stays in the form."""
    typed = typed_in(await request.form())
    try:
        if recurs(typed):
            wanted = schedule_of(typed)
            await create_schedule(wanted, schedules, programs, principal, Response())
            return see_other(request, f"/schedules/{wanted.name}")
        key = typed.get(_KEY, "")[:SHORT_TEXT] or None
        submitted = await api.submit(
            request_of(typed), submissions, programs, access, principal, Response(), idempotency_key=key
        )
        return see_other(request, f"/applications/{submitted.db_entry.id}")
    except FormError as error:
        errors, status = error.errors, 422
    except ServiceError as error:
        errors, status = {"": str(error)}, error.status
        if isinstance(error, IdempotencyKeyReused):
            typed.pop(_KEY, None)  # it stands for what was sent before, for good
    page = _form(request, await executions.algorithms(), typed, errors=errors)
    page.status_code = status
    return page
