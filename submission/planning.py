"""From a request to the manifest: bounds, first scale-out and rendering; nothing is stored or started."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from pymongo.errors import PyMongoError

from common.errors import InvalidRequest, ServiceError
from common.wire.specs import ApplicationSpecs, WorkerSpecs
from prediction.first_choice import FirstChoice, as_requested
from submission.manifest.build import Manifest, build_manifest
from submission.manifest.options import ManifestOptions
from submission.manifest.platform import Platform
from submission.manifest.template_values import find_value, parse_template_values
from submission.manifest.unknown import unknown_warnings

logger = logging.getLogger(__name__)

InitialScaleOutPolicy = Literal["predicted", "requested"]

_AS_REQUESTED = "As requested (worker_specs.scale_out)."


class Chooser(Protocol):
    """Who decides on scale-outs (`prediction.initial.InitialScaleOutChooser`)."""

    async def choose(self, specs: ApplicationSpecs) -> FirstChoice:
        """From history; without any, `worker_specs.scale_out`."""
        ...

    def rescales(self, specs: ApplicationSpecs) -> bool:
        """Whether anybody decides once the run has started."""
        ...


@dataclass(frozen=True)
class Plan:
    initial: FirstChoice
    manifest: Manifest
    max_scale_out: int
    """What the platform can hold of the requested maximum."""
    warnings: list[str]
    shadow: bool = False
    """Whether the choice is recorded only."""
    requested_scale_out: int | None = None
    """What an application in shadow mode starts with."""

    @property
    def scale_out(self) -> int:
        """Executors that the application starts with."""
        return self.requested_scale_out or self.initial.scale_out

    @property
    def reason(self) -> str:
        """Why it starts with them."""
        if not self.shadow:
            return self.initial.reason
        chosen = self.initial
        return f"As requested, in shadow mode; it would start with {chosen.scale_out}: {chosen.reason}"

    def warned(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """What the platform answered, with the warnings of the plan."""
        told = [*response.get("warnings", ()), *self.warnings]
        return {**response, "warnings": told} if told else dict(response)


class Planner:
    """Plans for one platform.

    Args:
        max_executors: How many executors of a size it holds; None: no limit is known.
        shadow_algorithms: Decisions about these are recorded only.
    """

    def __init__(
        self,
        platform: Platform,
        max_executors: Callable[[WorkerSpecs], int | None],
        chooser: Chooser,
        manifest_options: ManifestOptions,
        shadow_algorithms: Collection[str] = (),
    ) -> None:
        self._platform = platform
        self._max_executors = max_executors
        self._chooser = chooser
        self._manifest_options = manifest_options
        self._shadow_algorithms = frozenset(shadow_algorithms)

    async def plan(
        self,
        specs: ApplicationSpecs,
        execution_id: str,
        policy: InitialScaleOutPolicy,
        name: str | None = None,
        *,
        shadow: bool = False,
        due_at: datetime | None = None,
    ) -> Plan:
        """What would be submitted.

        Args:
            specs: With a requested scale-out within the bounds (`with_scale_out`).
            policy: `requested` starts with `worker_specs.scale_out`; what is expected is told all the same.
            name: What the resource is called after, where `release_name` does not say so.
            shadow: Start as requested, whatever is chosen.
            due_at: What it is started for, where it is of a schedule.
        Raises:
            InvalidRequest: The request cannot be carried out.
        """
        bounded, warnings = self._within_the_platform(specs)
        initial = await self._initial(bounded, policy)
        shadow = shadow or specs.global_specs.algorithm_name in self._shadow_algorithms
        start = _within_bounds(_requested(bounded), bounded).scale_out if shadow else None
        warnings += unknown_warnings(specs)
        plan = self._render(specs, bounded, execution_id, initial, warnings, name, start, due_at)
        plan.warnings.extend(self._platform.warnings(parse_template_values(specs.spark_template_values).spec))
        return plan

    def check(self, specs: ApplicationSpecs, execution_id: str) -> Manifest:
        """What `plan` would refuse is refused, without a forecast."""
        bounded, warnings = self._within_the_platform(specs)
        initial = _within_bounds(_requested(bounded), bounded)
        return self._render(specs, bounded, execution_id, initial, warnings).manifest

    def _within_the_platform(self, specs: ApplicationSpecs) -> tuple[ApplicationSpecs, list[str]]:
        bounds, worker = specs.global_specs, specs.worker_specs
        limit = self._max_executors(worker)
        if limit is None or limit >= bounds.max_scale_out:
            return specs, []
        if limit < bounds.min_scale_out:
            raise InvalidRequest(
                f"min_scale_out is {bounds.min_scale_out}, but {self._platform.in_words} can hold"
                f" {limit} executors with {worker.cores} cores and {worker.memory}."
            )
        warning = (
            f"max_scale_out {bounds.max_scale_out} is more than {self._platform.in_words} can hold;"
            f" at most {limit} executors will be used."
        )
        bounds = bounds.model_copy(update={"max_scale_out": limit})
        return specs.model_copy(update={"global_specs": bounds}), [warning]

    async def _initial(self, specs: ApplicationSpecs, policy: InitialScaleOutPolicy) -> FirstChoice:
        try:
            chosen = await self._chooser.choose(specs)
        except PyMongoError:
            raise  # the execution could not be stored either
        except Exception as error:  # an application is not refused because a model fails
            logger.exception("no initial scale-out for %s", specs.global_specs.algorithm_name)
            detail = str(error) if isinstance(error, ServiceError) else type(error).__name__
            chosen = _requested(specs, f"As requested: the prediction failed ({detail}).")
        if policy == "requested":
            chosen = chosen.moved(specs.worker_specs.scale_out, _AS_REQUESTED)
        return _within_bounds(chosen, specs)

    def _render(
        self,
        specs: ApplicationSpecs,
        bounded: ApplicationSpecs,
        execution_id: str,
        initial: FirstChoice,
        warnings: list[str],
        name: str | None = None,
        shadow_start: int | None = None,
        due_at: datetime | None = None,
    ) -> Plan:
        if name is not None and not find_value(specs.spark_template_values, "release_name"):
            values = {**specs.spark_template_values, "release_name": name}
            specs = specs.model_copy(update={"spark_template_values": values})
        max_scale_out = bounded.global_specs.max_scale_out
        manifest = build_manifest(
            specs,
            execution_id,
            shadow_start or initial.scale_out,
            self._manifest_options,
            max_scale_out=max_scale_out,
            rescales=self._chooser.rescales(specs),
            due_at=due_at,
        )
        return Plan(
            initial,
            manifest,
            max_scale_out,
            warnings,
            shadow=shadow_start is not None,
            requested_scale_out=shadow_start,
        )


def with_scale_out(specs: ApplicationSpecs) -> ApplicationSpecs:
    """The specs with a requested scale-out within the bounds; one that was left out is the smallest.

    Raises:
        InvalidRequest: The requested scale-out lies outside the bounds.
    """
    bounds, worker = specs.global_specs, specs.worker_specs
    if "scale_out" not in worker.model_fields_set:
        worker = worker.model_copy(update={"scale_out": bounds.min_scale_out})
        return specs.model_copy(update={"worker_specs": worker})
    if not bounds.min_scale_out <= worker.scale_out <= bounds.max_scale_out:
        raise InvalidRequest(
            f"worker_specs.scale_out is {worker.scale_out}, but min_scale_out is {bounds.min_scale_out}"
            f" and max_scale_out is {bounds.max_scale_out}."
        )
    return specs


def _requested(specs: ApplicationSpecs, reason: str = _AS_REQUESTED) -> FirstChoice:
    return as_requested(specs.worker_specs.scale_out, specs.global_specs.max_runtime, reason)


def _within_bounds(chosen: FirstChoice, specs: ApplicationSpecs) -> FirstChoice:
    lowest, highest = specs.global_specs.min_scale_out, specs.global_specs.max_scale_out
    clamped = min(max(chosen.scale_out, lowest), highest)
    if clamped == chosen.scale_out:
        return chosen
    return chosen.moved(
        clamped, f"{chosen.reason} Changed from {chosen.scale_out} to lie within {lowest} and {highest}."
    )
