"""The answer to a finished job: scale-outs for the jobs that are left."""

from pydantic import Field

from common.wire.specs import WireModel


class Recommendation(WireModel):
    """Empty lists mean: leave the scale-out alone; `reason` says why."""

    best_predicted_scale_out_per_job: list[tuple[int, int]] = Field(default_factory=list)
    """Pairs of job id and recommended scale-out, one per remaining job."""
    best_predicted_runtime_per_job: list[tuple[int, float]] = Field(default_factory=list)
    """Pairs of job id and seconds left when that scale-out is used from this job on."""
    reason: str = ""
    decision_id: str | None = None
