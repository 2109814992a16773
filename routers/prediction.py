"""Scale-outs before and during a run, and warming the cache."""

import re

from fastapi import APIRouter
from pydantic import ConfigDict

from common.auth import Permission
from common.errors import InvalidRequest
from common.wire.events import PredictionRequest
from common.wire.specs import ApplicationSpecs, WireModel
from routers.dependencies import InitialScaleOutChooserDep, ModelsDep, PredictorDep
from routers.principal import requires

router = APIRouter(tags=["prediction"])

_BASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,255}")


class OnlineScaleOutPrediction(WireModel):
    best_predicted_scale_out_per_job: list[tuple[int, int]]
    """Pairs of job id and recommended scale-out, one per remaining job."""
    best_predicted_runtime_per_job: list[tuple[int, float]]
    """Pairs of job id and seconds left when that scale-out is used from this job on."""
    reason: str
    decision_id: str | None = None


class Preloaded(WireModel):
    message: str
    algorithm_name: str
    model: str
    """Name in the registry, see `GET /models/{name}`."""
    version: int
    training_id: str | None


class CandidateScaleOut(WireModel):
    """What is expected of a run that keeps this scale-out to its end."""

    model_config = ConfigDict(from_attributes=True)

    scale_out: int
    runtime_seconds: float
    """Of the whole application, median."""
    lower_seconds: float
    upper_seconds: float
    """The runtime lies between these with a probability of 90%."""
    probability: float
    """Of meeting the runtime target."""
    executor_seconds: float
    """Scale-out times median runtime."""


class InitialScaleOutPrediction(WireModel):
    """What a run would be started with, and what there was to choose from."""

    scale_out: int
    """Chosen; the requested one where nothing can be predicted."""
    reason: str
    predicted_runtime_seconds: float | None
    """Median at the chosen scale-out."""
    target_seconds: float
    feasible: bool | None
    """Whether at least one candidate meets the target more likely than not; null: nothing is known."""
    fastest_runtime_seconds: float | None
    """Smallest median of all candidates."""
    nearest_feasible_target_seconds: float | None
    """Smallest target that a candidate meets with the confidence that choices are made with."""
    candidates: list[CandidateScaleOut]
    """By scale-out; empty where nothing can be predicted."""
    source: str | None
    """Id of the model version, `similar-runs`, `context-model`, or the name of a baseline."""
    runs: int
    """Earlier runs that this was learned from."""


@router.post("/prediction/initial_scale_out")
async def initial_scale_out(
    specs: ApplicationSpecs, chooser: InitialScaleOutChooserDep
) -> InitialScaleOutPrediction:
    """Say what a submission of these specs would start with, and why; nothing is stored or started.

    The bounds are those of the request: what the platform can hold is known when it is submitted.
    """
    found = await chooser.choose(specs)
    return InitialScaleOutPrediction(
        scale_out=found.scale_out,
        reason=found.reason,
        predicted_runtime_seconds=found.predicted_runtime_seconds,
        target_seconds=specs.global_specs.max_runtime,
        feasible=found.feasible,
        fastest_runtime_seconds=found.fastest_runtime_seconds,
        nearest_feasible_target_seconds=found.nearest_feasible_target_seconds,
        candidates=[CandidateScaleOut.model_validate(option) for option in found.options],
        source=found.source,
        runs=found.runs,
    )


@router.post("/prediction/online_scale_out_prediction", dependencies=[requires(Permission.REPORT)])
async def online_scale_out_prediction(
    request: PredictionRequest, predictor: PredictorDep
) -> OnlineScaleOutPrediction:
    """Store a finished job, then recommend a scale-out for the jobs that are left.

    Empty lists mean: leave the scale-out alone; `reason` says why.
    """
    recommendation = await predictor.recommend(request)
    return OnlineScaleOutPrediction(
        best_predicted_scale_out_per_job=list(recommendation.scale_outs),
        best_predicted_runtime_per_job=list(recommendation.remaining_seconds),
        reason=recommendation.reason,
        decision_id=recommendation.decision_id,
    )


@router.get("/prediction/preload/{base_name:path}")
@router.get("/preload/{base_name:path}", include_in_schema=False)
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
