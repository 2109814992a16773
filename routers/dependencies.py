"""What the lifespan opened, for handlers; tests override these getters."""

from typing import Annotated, Any, cast

from fastapi import Depends, Request

from common.executions import ExecutionRepository
from common.mongo import Client
from prediction.models import Models
from prediction.predictor import Predictor
from training.pretraining import Pretraining
from training.schedules import PeriodicTrainings


def _state(request: Request, name: str) -> Any:
    return getattr(request.state, name)


def get_mongo(request: Request) -> Client:
    return cast(Client, _state(request, "mongo"))


def get_executions(request: Request) -> ExecutionRepository:
    return cast(ExecutionRepository, _state(request, "executions"))


def get_predictor(request: Request) -> Predictor:
    return cast(Predictor, _state(request, "predictor"))


def get_models(request: Request) -> Models:
    return cast(Models, _state(request, "models"))


def get_pretraining(request: Request) -> Pretraining:
    return cast(Pretraining, _state(request, "pretraining"))


def get_periodic_trainings(request: Request) -> PeriodicTrainings:
    return cast(PeriodicTrainings, _state(request, "periodic_trainings"))


MongoDep = Annotated[Client, Depends(get_mongo)]
ExecutionsDep = Annotated[ExecutionRepository, Depends(get_executions)]
PredictorDep = Annotated[Predictor, Depends(get_predictor)]
ModelsDep = Annotated[Models, Depends(get_models)]
PretrainingDep = Annotated[Pretraining, Depends(get_pretraining)]
PeriodicTrainingsDep = Annotated[PeriodicTrainings, Depends(get_periodic_trainings)]
