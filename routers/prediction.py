"""Scale-outs before and during a run, and warming the cache."""

import re
from typing import Annotated

from fastapi import APIRouter

from common.errors import InvalidRequest
from common.executions.reports.refusals import refusal_noted
from common.wire.events import PredictionRequest
from common.wire.recommendation import Recommendation
from common.wire.specs import WireModel
from prediction.first_choice import FirstChoice
from prediction.requests import RunRequest
from routers.dependencies import (
    AccessDep,
    ExecutionsDep,
    InitialScaleOutChooserDep,
    ModelsDep,
    PredictorDep,
)
from routers.media.direct import DirectRoute
from routers.principal import READS, REPORTS, SUBMITS, AdmittedDep, ReporterDep
from routers.schemas import examples
from submission.manifest.unknown import unknown_warnings
from submission.requests import SubmitRequest

router = APIRouter(tags=["prediction"], route_class=DirectRoute)

_BASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,255}")


class Preloaded(WireModel):
    message: str
    algorithm_name: str
    model: str
    """Name in the registry, see `GET /models/{name}`."""
    version: int
    training_id: str | None


class ExpectedStart(FirstChoice):
    """The choice, and what of the request nobody reads."""

    warnings: list[str]
    """Fields that are ignored, the first ten; empty where all are known."""


@router.post("/prediction/initial_scale_out", dependencies=SUBMITS)
async def initial_scale_out(
    specs: Annotated[RunRequest, examples.RUN],
    chooser: InitialScaleOutChooserDep,
    access: AccessDep,
    principal: AdmittedDep,
) -> ExpectedStart:
    """Say what a submission of these specs would start with, and why; nothing is stored or started.

    The bounds are those of the request: what the platform can hold is known when it is submitted.
    """
    async with access.submitting(principal):
        choice = await chooser.choose(specs)
    warnings = unknown_warnings(specs, elsewhere=SubmitRequest.model_fields)
    return ExpectedStart(**dict(choice), warnings=warnings)


@router.post("/prediction/online_scale_out_prediction", dependencies=REPORTS)
async def online_scale_out_prediction(
    request: Annotated[PredictionRequest, examples.PREDICTION],
    predictor: PredictorDep,
    executions: ExecutionsDep,
    reporter: ReporterDep,
) -> Recommendation:
    """Store a finished job, then recommend a scale-out for the jobs that are left.

    Empty lists mean: leave the scale-out alone; `reason` says why.
    """
    await reporter.check(request)
    async with refusal_noted(executions, request):
        return await predictor.recommend(request)


@router.get("/prediction/preload/{base_name:path}", dependencies=READS)
@router.get("/preload/{base_name:path}", include_in_schema=False, dependencies=READS)
async def preload(base_name: str, models: ModelsDep) -> Preloaded:
    """Load an algorithm's model into the cache, so that its first prediction is fast.

    `base_name` is `gbt`, `mpc`, `logisticregression`, `kmeans`, or the name of an algorithm.
    """
    if not _BASE_NAME.fullmatch(base_name):
        raise InvalidRequest(
            "base_name: letters, digits, spaces and ._+- only, beginning with a letter or digit"
        )
    version = await models.preload(base_name)
    return Preloaded(
        message=f"The model of {version.algorithm_name} is in memory: version {version.version}.",
        algorithm_name=version.algorithm_name,
        model=version.name,
        version=version.version,
        training_id=version.training_run_id,
    )
