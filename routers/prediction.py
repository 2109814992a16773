"""Online recommendations, and warming the cache."""

import re

from fastapi import APIRouter

from common.errors import InvalidRequest
from common.events import PredictionRequest
from common.specs import WireModel
from routers.dependencies import ModelsDep, PredictorDep

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


@router.post("/prediction/online_scale_out_prediction")
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
