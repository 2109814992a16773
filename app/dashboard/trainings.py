"""The pages with trainings: start one, follow its trials and log, see what came of it."""

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode
from uuid import uuid4

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from app.dashboard.plots import training_plot
from app.dashboard.rendering import render, see_other
from app.dashboard.submission_form import FormError, by_input, typed_in
from common.auth import Principal
from common.errors import ServiceError
from common.executions.repository import ExecutionRepository
from common.wire.specs import SHORT_TEXT
from routers.dependencies import ExecutionsDep, ModelsDep, PretrainingDep
from routers.pagination import decode_cursor, encode_cursor
from routers.principal import READS, SUBMITS, PrincipalDep
from routers.training import StartTraining, cancel_run
from training.runs.documents import TrainingRun
from training.runs.pretraining import Pretraining

router = APIRouter(prefix="/trainings")

PAGE = 30

TrainingId = Annotated[str, Path(max_length=SHORT_TEXT)]

_FIELDS: Mapping[str, tuple[str, ...]] = {"algorithm_name": ("algorithm_name",), "trials": ("trials",)}
"""By the name of its input: where its value stands in the request."""


@router.get("", dependencies=READS)
async def trainings(
    request: Request,
    pretraining: PretrainingDep,
    executions: ExecutionsDep,
    algorithm_name: str = "",
    cursor: str = "",
) -> Response:
    """Newest first."""
    return await _list(request, pretraining, executions, algorithm_name[:SHORT_TEXT], cursor)


async def _list(
    request: Request,
    pretraining: Pretraining,
    executions: ExecutionRepository,
    algorithm_name: str = "",
    cursor: str = "",
    *,
    typed: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response:
    found = await pretraining.runs.newest(
        algorithm_name=algorithm_name or None, before=decode_cursor(cursor or None), limit=PAGE + 1
    )
    page = found[:PAGE]
    more = encode_cursor(page[-1].created_at, page[-1].id) if len(found) > PAGE else ""
    filters = {"algorithm_name": algorithm_name} if algorithm_name else {}
    return render(
        request,
        "trainings/list.html",
        runs=page,
        algorithms=await executions.algorithms(),
        typed={**dict.fromkeys(_FIELDS, ""), "algorithm_name": algorithm_name, **(typed or {})},
        errors=errors or {},
        key=uuid4().hex,
        cursor=cursor,
        here=urlencode({**filters, "cursor": cursor} if cursor else filters),
        first=urlencode(filters),
        more=urlencode({**filters, "cursor": more}) if more else "",
        unreadable=found.unreadable,
    )


@router.post("", dependencies=SUBMITS)
async def start(
    request: Request, pretraining: PretrainingDep, executions: ExecutionsDep, principal: PrincipalDep
) -> Response:
    """Queue a training, then show it; what is refused stays in the form."""
    typed = typed_in(await request.form())
    try:
        run = await _start(typed, pretraining, principal)
        return see_other(request, f"/trainings/{run.id}")
    except FormError as error:
        errors, status = error.errors, 422
    except ServiceError as error:
        errors, status = {"": str(error)}, error.status
    page = await _list(request, pretraining, executions, typed=typed, errors=errors)
    page.status_code = status
    return page


async def _start(typed: Mapping[str, str], pretraining: Pretraining, principal: Principal) -> TrainingRun:
    """Raises FormError, or what `Pretraining.start` does."""
    said = {name: text for name in _FIELDS if (text := typed.get(name, "").strip())}
    try:
        wanted = StartTraining.model_validate(said)
    except ValidationError as error:
        raise FormError(by_input(error, _FIELDS)) from error
    key = typed.get("key", "")
    return await pretraining.start(
        **wanted.model_dump(),
        requested_by=principal.name,
        run_id=key if re.fullmatch(r"[0-9a-f]{32}", key) else None,
    )


@router.get("/{training_id}", dependencies=READS)
async def training(
    request: Request, training_id: TrainingId, pretraining: PretrainingDep, models: ModelsDep
) -> Response:
    """Live until it has ended; then its version beside the champion."""
    run = await pretraining.runs.get(training_id)
    champion = None
    if run.result is not None and run.result.model:
        champion = await models.registry.find_champion(run.result.model)
    return render(request, "trainings/one.html", run=run, champion=champion)


@router.get("/{training_id}/plot", dependencies=READS)
async def plot(training_id: TrainingId, pretraining: PretrainingDep) -> JSONResponse:
    """What the page draws, see `training_plot`."""
    return JSONResponse(training_plot(await pretraining.runs.get(training_id)))


@router.post("/{training_id}/cancel", dependencies=SUBMITS)
async def cancel(
    request: Request, training_id: TrainingId, pretraining: PretrainingDep, principal: PrincipalDep
) -> Response:
    """Stop it, then show it again."""
    await cancel_run(training_id, pretraining, principal)
    return see_other(request, f"/trainings/{training_id}")
