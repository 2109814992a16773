"""The seam between forecasts and decisions: a situation in, a choice out.

A policy is asked before a run (`first`) and after each of its jobs (`next`). It knows what stands in the
situation and nothing else: no database, no clock, no other run. So the service, its benchmarks and its
tests ask the same object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from common.executions.candidate import Candidate
from prediction.forecasts.method import Method


@dataclass(frozen=True)
class Situation:
    """What is known when a scale-out is chosen.

    Raises:
        ValueError: There is no candidate.
    """

    candidates: Sequence[Candidate]
    """At least one, in any order: what is left of the run with each."""
    budget_seconds: float
    """What is left of the runtime target; negative when it has passed."""
    current_scale_out: int = 0
    """What the run has now; 0 before the run."""
    asked_scale_out: int = 0
    """What was asked for last; 0: nothing. It may not have taken effect yet, and to ask for it again is no
    further rescaling."""
    rescalings: int = 0
    """How many were asked for in this run."""
    after_next_job_seconds: Sequence[float] = ()
    """What is left once the next job has ended, per candidate; empty where that is the last one."""
    memory: Mapping[str, Any] = field(default_factory=dict)
    """What the policy said with its last choice of this run that it wants to know again."""
    seen_scale_out: int | None = None
    """Most executors of any earlier run; None: not known."""

    def __post_init__(self) -> None:
        if not self.candidates:
            raise ValueError("there is no forecast to choose from")


def why_missed(budget_seconds: float) -> str:
    """What is said where no candidate is expected to meet the target, which may have passed."""
    if budget_seconds <= 0:
        return f"the target passed {-budget_seconds:.1f} s ago"
    return f"no scale-out is expected to stay within {budget_seconds:.1f} s"


@dataclass(frozen=True)
class Choice:
    """One of a situation's candidates."""

    candidate: Candidate
    meets_target: bool
    """As surely as the policy wants it."""
    reason: str
    memory: Mapping[str, Any] = field(default_factory=dict)
    """JSON values; stored with the decision, and handed back with the next situation."""

    @property
    def scale_out(self) -> int:
        return self.candidate.scale_out


class Policy(Protocol):
    """Who decides on the scale-outs of a run; a contract suite holds all of them to this."""

    @property
    def name(self) -> str:
        """The `solution_name` of runs that it decides on."""
        ...

    @property
    def method(self) -> Method:
        """What its forecasts are made by."""
        ...

    @property
    def rescales(self) -> bool:
        """Whether it is asked after jobs; otherwise a run keeps its first scale-out."""
        ...

    @property
    def later_targets_save(self) -> bool:
        """Whether it claims that a later target never means more executors."""
        ...

    def first(self, situation: Situation) -> Choice:
        """The scale-out to begin with."""
        ...

    def next(self, situation: Situation) -> Choice:
        """The scale-out to go on with."""
        ...

    def needed_seconds(self, candidates: Sequence[Candidate]) -> float:
        """The smallest runtime target that one of these meets as surely as the policy wants it."""
        ...
