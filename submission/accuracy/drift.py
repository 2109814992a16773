"""Whether a model still fits what runs do; pure."""

from dataclasses import dataclass

from common.models.versions import ModelVersion
from submission.accuracy.documents import ObservedAccuracy

LEAST_ERROR = 0.05
"""A version that was compared on few, very regular runs promises more than anybody can keep."""

LEAST_COVERAGE = 0.6
"""Of intervals that should hold nine of ten."""


def promised_error(version: ModelVersion) -> float | None:
    """Error that was measured when it was promoted, or else by cross-validation; None: neither was."""
    compared = version.promotion.version_error if version.promotion else None
    found = version.validation.get("remaining_error") if compared is None else compared
    return float(found) if isinstance(found, int | float) else None


@dataclass(frozen=True)
class Band:
    """What a version's accuracy is expected to stay within.

    Attributes:
        error_ratio: Errors may be this many times those that it was promoted with.
        least_runs: Fewer say nothing.
    """

    error_ratio: float = 2.0
    least_runs: int = 5


def drift_of(version: ModelVersion, observed: ObservedAccuracy | None, band: Band) -> str | None:
    """Why the version has left its band; None where it has not, or nobody knows."""
    if observed is None or observed.runs < band.least_runs:
        return None
    promised = promised_error(version)
    if promised is not None and observed.error > band.error_ratio * max(promised, LEAST_ERROR):
        return (
            f"forecasts of its last {observed.runs} runs are wrong by {observed.error:.0%},"
            f" where {promised:.0%} were measured on runs that it had not seen"
        )
    if observed.coverage is not None and observed.coverage < LEAST_COVERAGE:
        return f"{observed.coverage:.0%} of its 90% intervals held, in its last {observed.runs} runs"
    return None
