"""What the lifespan opened, for handlers; tests override these getters."""

from typing import Annotated, cast

from fastapi import Depends, Header, Request

from common.access.control import AccessControl
from common.executions.repository import ExecutionRepository
from common.forms import Form
from common.mongo.types import Client
from common.wire.specs import SHORT_TEXT
from common.workspaces.workspaces import Workspaces
from prediction.initial import InitialScaleOutChooser
from prediction.predictor import Predictor
from prediction.serving.models import Models
from routers.state import ServiceState
from submission.environments.environments import Environments
from submission.messages.opened import TrainingMessages
from submission.pipelines.digits import DigitsExample
from submission.pipelines.pipelines import Pipelines
from submission.programs.opened import OpenPrograms
from submission.schedules import SubmissionSchedules
from submission.service import SubmissionService
from submission.serving.opened import OpenServing
from training.event_logs.importing import RunImporter
from training.runs.pretraining import Pretraining
from training.runs.schedules import PeriodicTrainings


def state_of(request: Request) -> ServiceState:
    """All that is open."""
    return cast(ServiceState, request.state.service)


async def get_state(request: Request) -> ServiceState:
    """The same; the getters below are what handlers ask, and tests override.

    They are coroutines, although they wait for nothing: FastAPI calls plain functions in threads, and a
    request would change threads for each of them.
    """
    return state_of(request)


StateDep = Annotated[ServiceState, Depends(get_state)]


async def get_mongo(state: StateDep) -> Client:
    return state.mongo


async def get_access(state: StateDep) -> AccessControl:
    return state.access


async def get_executions(state: StateDep) -> ExecutionRepository:
    return state.executions


async def get_predictor(state: StateDep) -> Predictor:
    return state.predictor


async def get_initial_scale_out_chooser(state: StateDep) -> InitialScaleOutChooser:
    return state.chooser


async def get_models(state: StateDep) -> Models:
    return state.models


async def get_importer(state: StateDep) -> RunImporter:
    return state.importer


async def get_pretraining(state: StateDep) -> Pretraining:
    return state.pretraining


async def get_periodic_trainings(state: StateDep) -> PeriodicTrainings:
    return state.periodic_trainings


async def get_environments(state: StateDep) -> Environments:
    return state.environments


async def get_submissions(state: StateDep) -> SubmissionService:
    return state.submissions


async def get_submission_schedules(state: StateDep) -> SubmissionSchedules:
    return state.submission_schedules


async def get_workspaces(state: StateDep) -> Workspaces:
    return state.workspaces


MongoDep = Annotated[Client, Depends(get_mongo)]
AccessDep = Annotated[AccessControl, Depends(get_access)]
ExecutionsDep = Annotated[ExecutionRepository, Depends(get_executions)]
PredictorDep = Annotated[Predictor, Depends(get_predictor)]
InitialScaleOutChooserDep = Annotated[InitialScaleOutChooser, Depends(get_initial_scale_out_chooser)]
ModelsDep = Annotated[Models, Depends(get_models)]
ImporterDep = Annotated[RunImporter, Depends(get_importer)]
PretrainingDep = Annotated[Pretraining, Depends(get_pretraining)]
PeriodicTrainingsDep = Annotated[PeriodicTrainings, Depends(get_periodic_trainings)]
EnvironmentsDep = Annotated[Environments, Depends(get_environments)]
SubmissionsDep = Annotated[SubmissionService, Depends(get_submissions)]
SubmissionSchedulesDep = Annotated[SubmissionSchedules, Depends(get_submission_schedules)]


async def get_programs(state: StateDep) -> OpenPrograms:
    return state.programs


async def get_pipelines(state: StateDep) -> Pipelines:
    return state.pipelines


async def get_messages(state: StateDep) -> TrainingMessages:
    return state.messages


MessagesDep = Annotated[TrainingMessages, Depends(get_messages)]


async def get_digits(state: StateDep) -> DigitsExample:
    return state.digits


async def get_serving(state: StateDep) -> OpenServing:
    return state.serving


ServingDep = Annotated[OpenServing, Depends(get_serving)]
DigitsDep = Annotated[DigitsExample, Depends(get_digits)]
PipelinesDep = Annotated[Pipelines, Depends(get_pipelines)]
ProgramsDep = Annotated[OpenPrograms, Depends(get_programs)]
WorkspacesDep = Annotated[Workspaces, Depends(get_workspaces)]

IdempotencyKey = Annotated[
    Annotated[str, Form(r"^[!-~]+$", "visible ASCII characters without spaces, such as nightly-2026-11-28")]
    | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=SHORT_TEXT),
]
"""What says of a request that it was sent before."""

REPLAYED = "Idempotent-Replayed"
"""Header of an answer that was given before."""
