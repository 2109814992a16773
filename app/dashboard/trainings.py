"""The pages with trainings: start one, follow its trials and log, see what came of it."""

from typing import Annotated

from fastapi import APIRouter, Form, Path, Request, Response
from fastapi.responses import JSONResponse

from app.dashboard.plots import training_plot
from app.dashboard.rendering import render, see_other
from common.wire.specs import SHORT_TEXT, Name
from routers.dependencies import ExecutionsDep, ModelsDep, PretrainingDep
from routers.pagination import decode_cursor, encode_cursor
from routers.principal import READS, SUBMITS, PrincipalDep
from routers.training import StartTraining, cancel_run, trigger_model_training

router = APIRouter(prefix="/trainings")

PAGE = 30

TrainingId = Annotated[str, Path(max_length=SHORT_TEXT)]


@router.get("", dependencies=READS)
async def trainings(
    request: Request,
    pretraining: PretrainingDep,
    executions: ExecutionsDep,
    algorithm_name: str = "",
    cursor: str = "",
) -> Response:
    """Newest first."""
    found = await pretraining.runs.newest(
        algorithm_name=algorithm_name[:SHORT_TEXT] or None,
        before=decode_cursor(cursor or None),
        limit=PAGE + 1,
    )
    page = found[:PAGE]
    more = encode_cursor(page[-1].created_at, page[-1].id) if len(found) > PAGE else ""
    return render(
        request,
        "trainings/list.html",
        runs=page,
        algorithms=await executions.algorithms(),
        algorithm_name=algorithm_name,
        cursor=cursor,
        more=more,
        unreadable=found.unreadable,
    )


@router.post("", dependencies=SUBMITS)
async def start(
    request: Request,
    pretraining: PretrainingDep,
    principal: PrincipalDep,
    algorithm_name: Annotated[Name, Form()],
    trials: Annotated[int | None, Form(ge=1, le=10_000)] = None,
) -> Response:
    """Queue a training, then show it."""
    wanted = StartTraining(algorithm_name=algorithm_name, trials=trials)
    run = await trigger_model_training(wanted, pretraining, principal, Response())
    return see_other(request, f"/trainings/{run.id}")


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
