"""The page to submit an application: what each scale-out would mean while one types, then off it goes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request, Response

from app.dashboard.rendering import render, see_other
from app.dashboard.submission_form import DEFAULTS, FIELDS, OTHERS, FormError, body_of, request_of, typed_for
from common.errors import ServiceError
from common.wire.specs import SHORT_TEXT
from prediction.first_choice import FirstChoice
from prediction.policies.registry import POLICIES
from routers.dependencies import AccessDep, ExecutionsDep, StateDep, SubmissionSchedulesDep, SubmissionsDep
from routers.principal import SUBMITS, PrincipalDep
from submission.schedule_documents import ScheduleSpec
from submission.service import SubmissionService, SubmitOptions

router = APIRouter(prefix="/submit")

_KEY = "key"
"""Of the form, so that a second click submits nothing."""

_SCHEDULE = ("schedule_name", "cron", "time_zone")


@dataclass
class WhatIf:
    """What would happen, or why it would be refused."""

    choice: FirstChoice | None = None
    manifests: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


async def _typed(request: Request) -> dict[str, str]:
    """What the form says; files are none of its business."""
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


async def _what_if(typed: Mapping[str, str], submissions: SubmissionService) -> WhatIf:
    try:
        request = request_of(typed)
        options = SubmitOptions(
            policy=request.initial_scale_out_policy, name=request.name, shadow=request.shadow
        )
        planned = await submissions.dry_run(request, options)
    except FormError as error:
        return WhatIf(errors=error.errors)
    except ServiceError as error:
        return WhatIf(errors={"": str(error)})
    choice = FirstChoice.of(planned.decision) if planned.decision else None
    warnings = [str(each) for each in planned.response.get("warnings", ())]
    return WhatIf(choice, planned.execution.manifests, warnings)


def _form(request: Request, executions: list[str], typed: Mapping[str, str], **more: Any) -> Response:
    empty = dict.fromkeys((*FIELDS, OTHERS, *_SCHEDULE), "")
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
    typed = await _typed(request)
    async with state.access.submitting(principal):
        found = await _what_if(typed, submissions)
    body = "" if found.errors else json.dumps(body_of(typed), indent=2)
    return render(request, "submit/what_if.html", what_if=found, body=body, price=state.executor_hour_price)


@router.post("", dependencies=SUBMITS)
async def submit(
    request: Request,
    submissions: SubmissionsDep,
    schedules: SubmissionSchedulesDep,
    executions: ExecutionsDep,
    access: AccessDep,
    principal: PrincipalDep,
) -> Response:
    """Submit, or have it submitted again and again, and go there; what is refused stays in the form."""
    typed = await _typed(request)
    try:
        wanted = request_of(typed)
        if typed.get("cron", "").strip():
            spec = ScheduleSpec.model_validate(
                {
                    "cron": typed["cron"].strip(),
                    "time_zone": typed.get("time_zone", "").strip() or "UTC",
                    "submission": wanted,
                }
            )
            name = typed.get("schedule_name", "").strip()
            if not name:
                raise FormError({"schedule_name": "A recurring submission needs a name."})
            await schedules.create(name, spec, principal.name)
            return see_other(request, f"/schedules/{name}")
        key = typed.get(_KEY, "")[:SHORT_TEXT]
        options = SubmitOptions(
            policy=wanted.initial_scale_out_policy,
            shadow=wanted.shadow,
            name=wanted.name,
            idempotency_key=f"page/{key}" if key else None,
            submitted_by=principal.name,
        )
        async with access.submitting(principal):
            submission = await submissions.submit(wanted, options)
        return see_other(request, f"/applications/{submission.execution.id}")
    except FormError as error:
        errors, status = error.errors, 422
    except ServiceError as error:
        errors, status = {"": str(error)}, error.status
    page = _form(request, await executions.algorithms(), typed, errors=errors)
    page.status_code = status
    return page
