"""A candidate scale-out, and how long a run takes with it: a log-normal distribution."""

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class RuntimeForecast:
    """Remaining runtime of a run, if it goes on with this scale-out."""

    scale_out: int
    remaining_seconds: float
    """Median."""
    log_std: float = 0.0
    """Standard deviation of the logarithm of the remaining runtime, of runs that take longer."""
    early_log_std: float | None = None
    """Of runs that take less; None: the same."""
    avoidable_log_std: float | None = None
    """As `log_std`, without stalls that befall runs at every scale-out alike; None: there are none."""

    def needed_seconds(self, confidence: float) -> float:
        """The budget within which a run stays with this confidence, stalls that befall any run aside."""
        log_std = self.log_std if self.avoidable_log_std is None else self.avoidable_log_std
        return self.remaining_seconds * math.exp(NormalDist().inv_cdf(confidence) * log_std)

    def bound_seconds(self, confidence: float) -> float:
        """What the remaining runtime stays below with this confidence (0.5: the median)."""
        return self.remaining_seconds * math.exp(
            NormalDist().inv_cdf(confidence) * self._side(confidence < 0.5)
        )

    def _side(self, early: bool) -> float:
        return self.early_log_std if early and self.early_log_std is not None else self.log_std

    def chance_within(self, seconds: float) -> float:
        """Probability that the remaining runtime stays within these seconds."""
        ratio = seconds / max(self.remaining_seconds, 1e-9)
        if ratio <= 0:
            return 0.0
        log_ratio = math.log(ratio)
        log_std = self._side(log_ratio < 0)
        return NormalDist().cdf(log_ratio / log_std) if log_std > 0 else float(log_ratio >= 0)

    @property
    def sets_stalls_aside(self) -> bool:
        return self.avoidable_log_std is not None and self.avoidable_log_std < self.log_std

    @property
    def executor_seconds(self) -> float:
        """The price, at the median."""
        return self.scale_out * self.remaining_seconds


def candidate_scale_outs(minimum: int, maximum: int, limit: int = 512) -> tuple[int, ...]:
    """Every scale-out from minimum to maximum; evenly thinned, ends included, above `limit` of them."""
    count = maximum - minimum + 1
    if count <= limit:
        return tuple(range(minimum, maximum + 1))
    return tuple(sorted({minimum + round(index * (count - 1) / (limit - 1)) for index in range(limit)}))
