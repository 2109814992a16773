"""A submission as a value: how it is made, what comes of it, and why it may be refused."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.errors import ServiceError
from common.executions.documents import ApplicationExecution, ScalingDecision
from common.wire.specs import ApplicationSpecs
from submission.planning import InitialScaleOutPolicy, Plan

_FORMER_OVERHEAD = "384m"
"""What `memory_overhead` was by default in version 0.1: stored fingerprints leave it out."""


def fingerprint(specs: ApplicationSpecs, *further: str | None) -> str:
    """The same for requests that mean the same: fields at their defaults may be left out.

    Also what was once a default counts as left out, so that a key or a name that was stored by an earlier
    version still stands for its application.
    """
    machines = {
        field: spec.model_copy(update={"memory_overhead": None})
        for field, spec in (("master_specs", specs.master_specs), ("worker_specs", specs.worker_specs))
        if spec.memory_overhead == _FORMER_OVERHEAD
    }
    said = [specs.model_copy(update=machines).model_dump(mode="json", exclude_defaults=True), *further]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


class TargetInfeasible(ServiceError):
    status, title = 409, "The runtime target is not expected to be met"


@dataclass(frozen=True)
class SubmitOptions:
    """How to submit, besides what.

    Args:
        policy: `requested` starts with `worker_specs.scale_out`, whatever history says.
        shadow: Decisions about it are recorded, and change nothing.
        name: Of two requests with the same name only the first creates an application, as long as that
            one has not ended.
        idempotency_key: The same, as long as the key is remembered.
        require_feasible: Refuse a target that no candidate is expected to meet.
        alone: Refuse while another one of the schedule that was submitted so has not ended.
        submitted_by: Who asked, for the record.
        since: When somebody asked for it to be started later; None: just now.
        execution_id: Of the application execution; None: a new one. No two have the same.
    """

    policy: InitialScaleOutPolicy = "predicted"
    shadow: bool = False
    name: str | None = None
    idempotency_key: str | None = None
    require_feasible: bool = False
    schedule_name: str | None = None
    scheduled_for: datetime | None = None
    alone: bool = False
    submitted_by: str | None = None
    execution_id: str | None = None
    since: datetime | None = None

    def fingerprint(self, specs: ApplicationSpecs) -> str:
        """Fingerprint of a request: the same for requests that mean the same."""
        # Said only where it is so: what earlier versions stored stays the same request.
        shadow = ["shadow"] if self.shadow else []
        return fingerprint(specs, self.policy, self.name, *shadow)


@dataclass(frozen=True)
class Submission:
    execution: ApplicationExecution
    decision: ScalingDecision | None
    """About the first scale-out."""
    response: Mapping[str, Any]
    """What the platform answered; `warnings` says where the request was not followed to the letter."""
    replayed: bool = False
    """Whether it was submitted before."""


def infeasible(plan: Plan, target_seconds: float) -> TargetInfeasible:
    """What refuses a target that no candidate of the plan is expected to meet."""
    initial = plan.initial
    error = TargetInfeasible(
        f"No scale-out is expected to finish within {target_seconds:g} s: the fastest takes"
        f" {initial.fastest_runtime_seconds:.1f} s, and {initial.nearest_feasible_target_seconds:.1f} s are"
        " the nearest target that can be met."
    )
    error.members = {
        "feasible": False,
        "target_seconds": target_seconds,
        "fastest_runtime_seconds": initial.fastest_runtime_seconds,
        "nearest_feasible_target_seconds": initial.nearest_feasible_target_seconds,
        "source": initial.source,
        "candidates": initial.model_dump(mode="json")["candidates"],
    }
    return error
