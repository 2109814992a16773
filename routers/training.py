"""Learning from reported events, and pretraining."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response, status
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field, StringConstraints

from common.executions.reports.refusals import refusal_noted
from common.wire.events import UpdateInformation, event_of
from common.wire.specs import SHORT_TEXT, Name, WireModel
from routers.dependencies import ExecutionsDep, ImporterDep, PeriodicTrainingsDep, PretrainingDep
from routers.media.direct import DirectRoute
from routers.pagination import Hint, Unreadable, decode_cursor, encode_cursor, hint_for
from routers.principal import READS, REPORTS, SUBMITS, PrincipalDep, ReporterDep
from routers.schemas import examples
from training.event_logs.importing import Imported, RunPiece
from training.runs.documents import TrainingRun, TrainingState
from training.runs.pretraining import Pretraining
from training.runs.schedules import TrainingSchedule

router = APIRouter(prefix="/training", tags=["training"], route_class=DirectRoute)


class Message(WireModel):
    message: str


class StartTraining(WireModel):
    system_name: Literal["spark"] = "spark"
    algorithm_name: Name
    model_name: Annotated[str, StringConstraints(max_length=SHORT_TEXT)] = "onlinepredictor"
    """The kind of model."""
    experiment_name: Name = "default"
    trials: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Hyperparameter trials; TRAINING_TRIALS where it is not given."""


class TrainingStarted(TrainingRun):
    training_id: str
    message: str


class TrainingRunPage(WireModel):
    items: list[TrainingRun]
    next_cursor: str | None
    hint: Hint = None
    unreadable: Unreadable


class TrainingSchedules(WireModel):
    items: list[TrainingSchedule]
    hint: Hint = None
    unreadable: Unreadable


@router.post("/update_information", dependencies=REPORTS)
async def update_information(
    update: Annotated[UpdateInformation, examples.REPORT],
    executions: ExecutionsDep,
    reporter: ReporterDep,
) -> Message:
    """Store what a Spark listener reports: the start of an application, the end of a job, or its own end.

    The answer means that it is stored. The same event may be sent again at any time.
    """
    await reporter.check(update)
    async with refusal_noted(executions, update):
        await executions.apply_event(update.application_execution_id, await event_of(update))
    return Message(message=f"{update.update_event} of {update.application_execution_id} is stored.")


@router.post("/import", dependencies=SUBMITS)
async def import_run(
    piece: Annotated[RunPiece, examples.IMPORTED_RUN], importer: ImporterDep, principal: PrincipalDep
) -> Imported:
    """Learn from a run of the past: what its event log says, as `enel import-event-logs` reads it.

    A run comes in as many pieces as one likes, the last one with its end; the same piece again adds nothing.
    Of a run that its own driver has reported nothing is changed.
    """
    return await importer.take(piece, principal.name)


@router.post(
    "/trigger_model_training",
    status_code=status.HTTP_202_ACCEPTED,
    dependencies=SUBMITS,
    responses={200: {"model": TrainingStarted, "description": "It was waited for, and has ended"}},
)
async def trigger_model_training(
    request: Annotated[StartTraining, examples.TRAINING],
    pretraining: PretrainingDep,
    principal: PrincipalDep,
    response: Response,
    wait: bool = False,
) -> TrainingStarted:
    """Learn an algorithm's model from its history.

    Answers at once with an id to follow at `/training/runs/{id}`; with `?wait=true` when it has ended.
    """
    run = await pretraining.start(
        system_name=request.system_name,
        algorithm_name=request.algorithm_name,
        model_name=request.model_name,
        experiment_name=request.experiment_name,
        trials=request.trials,
        requested_by=principal.name,
    )
    response.headers["Location"] = f"/training/runs/{run.id}"
    if wait:
        async for state in pretraining.follow(run.id):
            run = state
            if run.state is TrainingState.PUBLISHING and run.detail:
                break  # the model store is away: nobody knows for how long
        if run.state.is_final:  # else the service stops; the id says where to look later
            response.status_code = status.HTTP_200_OK
    return TrainingStarted(
        **run.model_dump(by_alias=False),
        training_id=run.id,
        message=f"Training {run.id} of {run.algorithm_name}: {run.state.value}.",
    )


@router.get("/runs", dependencies=READS)
async def list_runs(
    pretraining: PretrainingDep,
    algorithm_name: Annotated[str, StringConstraints(max_length=SHORT_TEXT)] | None = None,
    state: TrainingState | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
) -> TrainingRunPage:
    """Trainings, newest first, without their logs."""
    runs = await pretraining.runs.newest(
        algorithm_name=algorithm_name, state=state, before=decode_cursor(cursor), limit=limit + 1
    )
    page = runs[:limit]
    more = len(runs) > limit
    return TrainingRunPage(
        items=page,
        next_cursor=encode_cursor(page[-1].created_at, page[-1].id) if more else None,
        hint=hint_for(
            page, "POST /training/trigger_model_training starts one.", algorithm_name, state, cursor
        ),
        unreadable=runs.unreadable,
    )


@router.get("/schedules", dependencies=READS)
async def list_training_schedules(periodic: PeriodicTrainingsDep) -> TrainingSchedules:
    """Periodic trainings (TRAINING_INTERVAL, TRAINING_SCHEDULES): when next, and what came of the last."""
    found = await periodic.schedules()
    hint = hint_for(found, "The settings TRAINING_INTERVAL and TRAINING_SCHEDULES make some.")
    return TrainingSchedules(items=found, hint=hint, unreadable=found.unreadable)


@router.get("/runs/{run_id}", dependencies=READS)
async def get_run(run_id: str, pretraining: PretrainingDep) -> TrainingRun:
    """One training: its state, trials, best loss, the end of its log, and its result."""
    return await pretraining.runs.get(run_id)


async def _existing(run_id: str, pretraining: PretrainingDep) -> tuple[str, Pretraining]:
    """Fails with 404 before the stream has begun."""
    await pretraining.runs.get(run_id)
    return run_id, pretraining


@router.get("/runs/{run_id}/events", response_class=EventSourceResponse, dependencies=READS)
async def follow_run(
    followed: Annotated[tuple[str, Pretraining], Depends(_existing)],
) -> AsyncIterator[ServerSentEvent]:
    """The training as server-sent events: one `training` event a change, until it has ended."""
    run_id, pretraining = followed
    async for run in pretraining.follow(run_id):
        yield ServerSentEvent(event="training", data=run.model_dump(mode="json", by_alias=True))


@router.post("/runs/{run_id}/cancel", status_code=status.HTTP_202_ACCEPTED, dependencies=SUBMITS)
@router.delete(
    "/runs/{run_id}", status_code=status.HTTP_202_ACCEPTED, include_in_schema=False, dependencies=SUBMITS
)
async def cancel_run(run_id: str, pretraining: PretrainingDep, principal: PrincipalDep) -> TrainingRun:
    """Stop a training; one that has ended otherwise answers 409. An operator may stop others', too."""
    principal.check_owner(await pretraining.runs.requested_by(run_id), f"The training {run_id}")
    return await pretraining.cancel(run_id, by=principal.name)
