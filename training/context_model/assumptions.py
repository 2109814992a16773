"""What holds before any run: terms of the covariance, and what they are around."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.context_model.covariance import LAW_TERMS

TERMS = (
    "spot",
    "linear",
    "size",
    "memory",
    "category",
    "law",
    "smooth",
    "context",
    "context_law",
    "context_smooth",
    "group",
    "group_law",
)


@dataclass(frozen=True)
class Assumptions:
    """Assumptions that hold before any run; not fitted."""

    terms: tuple[str, ...] = TERMS
    """Terms of the covariance; fewer to see what each is worth."""
    scale_out_exponent: float = -0.5
    size_exponent: float = 1.0
    """Of what a run takes beyond its start."""
    start_seconds: float = 45.0
    """What the start of a run takes, however much data it has."""
    share_resources: bool = True
    """Whether an executor with twice of every resource counts as two."""
    carried: float = 0.5
    """Share of what a job's parameters and data explain that holds on any machine."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Assumptions":
        """Read what `asdict` wrote; models of before 2026-11-29 know no start.

        Raises:
            TypeError: There is a value that is not one of these.
        """
        return cls(**{"start_seconds": 0.0, **values, "terms": tuple(values["terms"])})


def law_free(terms: Sequence[str] = TERMS) -> tuple[str, ...]:
    """Terms of the covariance but for those of the scale-out law."""
    return tuple(term for term in terms if term not in LAW_TERMS)
