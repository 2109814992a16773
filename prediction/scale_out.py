"""The choice of a scale-out: pure functions over forecasts.

Policy: among the candidates, the smallest scale-out that is expected to meet the runtime target
with the wanted confidence; if none is, the fastest. A forecast is the median m of a log-normal
distribution with standard deviation s of the logarithm, so that the remaining runtime stays below
m * exp(z * s) with the confidence whose standard normal quantile is z.

Giving executors up asks for more confidence than keeping them, and for time in reserve: a scale-in
that proves wrong costs its own time, that of the scale-out that mends it, and what the executors
had cached.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class RuntimeForecast:
    """Remaining runtime of a run, if it goes on with this scale-out."""

    scale_out: int
    remaining_seconds: float
    """Median."""
    log_std: float = 0.0
    """Standard deviation of the logarithm of the remaining runtime."""

    def bound_seconds(self, confidence: float) -> float:
        """What the remaining runtime stays below with this confidence (0.5: the median)."""
        return self.remaining_seconds * math.exp(NormalDist().inv_cdf(confidence) * self.log_std)


@dataclass(frozen=True)
class Choice:
    forecast: RuntimeForecast
    meets_target: bool
    reason: str


def choose_scale_out(
    forecasts: Sequence[RuntimeForecast],
    budget_seconds: float,
    *,
    confidence: float = 0.5,
    current_scale_out: int = 0,
    scale_in_confidence: float | None = None,
    scale_in_reserve_seconds: float = 0.0,
) -> Choice:
    """Smallest scale-out that meets the budget with the confidence, otherwise the fastest.

    Args:
        forecasts: At least one; in any order.
        budget_seconds: What is left of the runtime target; negative when it has passed.
        confidence: In [0.5, 1).
        current_scale_out: What the run has now; 0 before the run.
        scale_in_confidence: Asked of scale-outs below the current one; None: the same.
        scale_in_reserve_seconds: What those have to leave of the budget.
    Raises:
        ValueError: There are no forecasts.
    """
    if not forecasts:
        raise ValueError("there is no forecast to choose from")

    def needed(forecast: RuntimeForecast) -> float:
        scales_in = forecast.scale_out < current_scale_out
        return scale_in_confidence if scales_in and scale_in_confidence is not None else confidence

    def fits(forecast: RuntimeForecast) -> bool:
        reserve = scale_in_reserve_seconds if forecast.scale_out < current_scale_out else 0.0
        return forecast.bound_seconds(needed(forecast)) + reserve <= budget_seconds

    fitting = [forecast for forecast in forecasts if fits(forecast)]
    if fitting:
        smallest = min(fitting, key=lambda forecast: forecast.scale_out)
        return Choice(
            smallest,
            True,
            f"smallest scale-out whose remaining runtime stays within {budget_seconds:.1f} s "
            f"with {needed(smallest):.0%} confidence",
        )
    fastest = min(forecasts, key=lambda forecast: (forecast.remaining_seconds, forecast.scale_out))
    return Choice(
        fastest, False, f"no scale-out is expected to stay within {budget_seconds:.1f} s; this is the fastest"
    )


def candidate_scale_outs(minimum: int, maximum: int, limit: int = 512) -> tuple[int, ...]:
    """Every scale-out from minimum to maximum; evenly thinned, ends included, above `limit` of them."""
    count = maximum - minimum + 1
    if count <= limit:
        return tuple(range(minimum, maximum + 1))
    return tuple(sorted({minimum + round(index * (count - 1) / (limit - 1)) for index in range(limit)}))
