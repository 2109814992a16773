"""A candidate scale-out and how long a run takes with it: what is chosen from, stored and shown.

The remaining runtime is log-normal, with a standard deviation of its own on either side of the median:
with median m and standard deviation s of the logarithm it stays below m * exp(z * s) with the confidence
whose standard normal quantile is z.
"""

import math
from dataclasses import replace
from statistics import NormalDist

from pydantic import ConfigDict, computed_field
from pydantic.dataclasses import dataclass

from common.attribute_docs import describe

UPPER_END = 0.95
"""Probability of staying below the upper end of an interval, and above the lower one."""


@dataclass(frozen=True, config=ConfigDict(json_schema_extra=describe))
class Candidate:
    """A scale-out that a run may go on with, or begin with, and what is expected of it then."""

    scale_out: int
    """Executors."""
    remaining_seconds: float
    """Median remaining runtime with this scale-out from now on; before the run, of the whole application."""
    log_std: float | None = None
    """Standard deviation of the logarithm of the remaining runtime, of runs that take longer; null: unknown,
    and medians decide."""
    early_log_std: float | None = None
    """Of runs that take less; the same where it is null."""
    avoidable_log_std: float | None = None
    """As `log_std`, without stalls that befall runs at every scale-out alike; null: there are none."""
    lower_seconds: float | None = None
    """With `upper_seconds` the interval that holds the remaining runtime with a probability of 90%."""
    upper_seconds: float | None = None
    probability: float | None = None
    """Of meeting the runtime target."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def runtime_seconds(self) -> float:
        """`remaining_seconds` by the name that it has before a run."""
        return self.remaining_seconds

    @computed_field  # type: ignore[prop-decorator]
    @property
    def executor_seconds(self) -> float:
        """Executors times remaining runtime, at the median: the price."""
        return self.scale_out * self.remaining_seconds

    def within(self, budget_seconds: float) -> "Candidate":
        """The same with its interval and the chance of staying within a budget, where they are not said yet.

        Args:
            budget_seconds: What is left of the runtime target; negative when it has passed.
        """
        if self.log_std is None or self.probability is not None:
            return self
        return replace(
            self,
            lower_seconds=self.bound_seconds(1 - UPPER_END),
            upper_seconds=self.bound_seconds(UPPER_END),
            probability=self.chance_within(budget_seconds),
        )

    def needed_seconds(self, confidence: float) -> float:
        """The budget within which a run stays with this confidence, stalls that befall any run aside."""
        return self.remaining_seconds * math.exp(NormalDist().inv_cdf(confidence) * self.late_log_std)

    def bound_seconds(self, confidence: float) -> float:
        """What the remaining runtime stays below with this confidence (0.5: the median)."""
        return self.remaining_seconds * math.exp(
            NormalDist().inv_cdf(confidence) * self._side(confidence < 0.5)
        )

    def chance_within(self, seconds: float) -> float:
        """Probability that the remaining runtime stays within these seconds."""
        ratio = seconds / max(self.remaining_seconds, 1e-9)
        if ratio <= 0:
            return 0.0
        log_ratio = math.log(ratio)
        log_std = self._side(log_ratio < 0)
        return NormalDist().cdf(log_ratio / log_std) if log_std > 0 else float(log_ratio >= 0)

    @property
    def late_log_std(self) -> float:
        """Standard deviation of the logarithm for runs that take longer, stalls that befall any run aside."""
        return (self.log_std if self.avoidable_log_std is None else self.avoidable_log_std) or 0.0

    @property
    def sets_stalls_aside(self) -> bool:
        """Whether `needed_seconds` asks for less because some stalls befall any run."""
        return self.avoidable_log_std is not None and self.avoidable_log_std < (self.log_std or 0.0)

    def _side(self, early: bool) -> float:
        log_std = self.early_log_std if early and self.early_log_std is not None else self.log_std
        return log_std or 0.0


def candidate_scale_outs(minimum: int, maximum: int, limit: int = 512) -> tuple[int, ...]:
    """Every scale-out from minimum to maximum; evenly thinned, ends included, above `limit` of them."""
    count = maximum - minimum + 1
    if count <= limit:
        return tuple(range(minimum, maximum + 1))
    return tuple(sorted({minimum + round(index * (count - 1) / (limit - 1)) for index in range(limit)}))
