"""What the lifespan opened, for handlers; tests override these getters."""

from typing import Annotated, Any, cast

from fastapi import Depends, Header, Request

from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.wire.specs import SHORT_TEXT
from prediction.initial import InitialScaleOutChooser
from prediction.predictor import Predictor
from prediction.serving.models import Models
from submission.schedules import SubmissionSchedules
from submission.service import SubmissionService
from training.runs.pretraining import Pretraining
from training.runs.schedules import PeriodicTrainings


def _state(request: Request, name: str) -> Any:
    return getattr(request.state, name)


def get_mongo(request: Request) -> Client:
    return cast(Client, _state(request, "mongo"))


def get_executions(request: Request) -> ExecutionRepository:
    return cast(ExecutionRepository, _state(request, "executions"))


def get_predictor(request: Request) -> Predictor:
    return cast(Predictor, _state(request, "predictor"))


def get_initial_scale_out_chooser(request: Request) -> InitialScaleOutChooser:
    return cast(InitialScaleOutChooser, _state(request, "initial_scale_out_chooser"))


def get_models(request: Request) -> Models:
    return cast(Models, _state(request, "models"))


def get_pretraining(request: Request) -> Pretraining:
    return cast(Pretraining, _state(request, "pretraining"))


def get_periodic_trainings(request: Request) -> PeriodicTrainings:
    return cast(PeriodicTrainings, _state(request, "periodic_trainings"))


def get_submissions(request: Request) -> SubmissionService:
    return cast(SubmissionService, _state(request, "submissions"))


def get_submission_schedules(request: Request) -> SubmissionSchedules:
    return cast(SubmissionSchedules, _state(request, "submission_schedules"))


MongoDep = Annotated[Client, Depends(get_mongo)]
ExecutionsDep = Annotated[ExecutionRepository, Depends(get_executions)]
PredictorDep = Annotated[Predictor, Depends(get_predictor)]
InitialScaleOutChooserDep = Annotated[InitialScaleOutChooser, Depends(get_initial_scale_out_chooser)]
ModelsDep = Annotated[Models, Depends(get_models)]
PretrainingDep = Annotated[Pretraining, Depends(get_pretraining)]
PeriodicTrainingsDep = Annotated[PeriodicTrainings, Depends(get_periodic_trainings)]
SubmissionsDep = Annotated[SubmissionService, Depends(get_submissions)]
SubmissionSchedulesDep = Annotated[SubmissionSchedules, Depends(get_submission_schedules)]

IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=SHORT_TEXT, pattern=r"^[!-~]+$")
]
"""What says of a request that it was sent before."""

REPLAYED = "Idempotent-Replayed"
"""Header of an answer that was given before."""
