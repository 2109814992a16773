"""How right one model's forecasts of one run were, as it is stored."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from common.mongo.document import Document, UtcTime


class RunAccuracy(Document):
    """Forecasts of one run by one model version, or by what else forecasts, against what came."""

    id: str = Field(alias="_id")
    """Application execution id and model key, with a space between them."""
    application_execution_id: str
    algorithm_name: str
    model_key: str
    """Of the decisions: a version's id, or such as `ernest`."""
    ended_at: UtcTime
    """When the run ended."""
    forecasts: int
    """Made while it ran or before, with the executors that it then had."""
    error: float
    """Mean absolute relative error of the remaining runtime, each at most `ERROR_LIMIT`."""
    with_interval: int = 0
    """Forecasts that came with an interval."""
    covered: int = 0
    """Of these, how many held what came; 90% should."""


class ObservedAccuracy(BaseModel):
    """The same over the latest runs that a version made forecasts for."""

    model_key: str
    runs: int
    error: float
    """Mean over runs."""
    coverage: float | None
    """Share of intervals that held what came; null where there were none."""
    last_run_at: UtcTime

    @classmethod
    def of(cls, runs: Sequence[RunAccuracy]) -> "ObservedAccuracy":
        """Of one model's runs, at least one, the latest first."""
        intervals = sum(run.with_interval for run in runs)
        return cls(
            model_key=runs[0].model_key,
            runs=len(runs),
            error=sum(run.error for run in runs) / len(runs),
            coverage=sum(run.covered for run in runs) / intervals if intervals else None,
            last_run_at=runs[0].ended_at,
        )
