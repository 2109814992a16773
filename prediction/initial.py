"""The scale-out that an application starts with, chosen from earlier runs."""

import logging

from pymongo.errors import PyMongoError

from common.errors import ServiceError
from common.executions.candidate import candidate_scale_outs
from common.instruments import Instruments, source_label, unscraped
from common.timing import Timing
from common.wire.specs import ApplicationSpecs
from prediction.first_choice import FirstChoice, as_requested, choose_first
from prediction.forecaster import Forecaster
from prediction.policies.registry import Policies
from training.history.from_documents import to_run_context

logger = logging.getLogger(__name__)


class InitialScaleOutChooser:
    """Knows the order: forecast, choose; what cannot be forecast starts as requested."""

    def __init__(
        self, forecaster: Forecaster, policies: Policies, instruments: Instruments | None = None
    ) -> None:
        self._forecaster = forecaster
        self._policies = policies
        self._instruments = instruments or unscraped()

    async def choose(self, specs: ApplicationSpecs) -> FirstChoice:
        """By the policy of the run's `solution_name`.

        Never fails: where the forecast does, the requested scale-out is left.
        """
        with self._instruments.initial_scale_out() as timing:
            return await self._choose(specs, timing)

    async def _choose(self, specs: ApplicationSpecs, timing: Timing) -> FirstChoice:
        known = specs.global_specs
        try:
            policy = self._policies.get(known.solution_name)
            candidates = candidate_scale_outs(known.min_scale_out, known.max_scale_out)
            found = await self._forecaster.before_run(policy.method, known, to_run_context(specs), candidates)
        except (ServiceError, PyMongoError) as error:
            logger.warning("No forecast for a first scale-out of %s: %s", known.algorithm_name, error)
            return _requested(specs, f"the forecast failed: {error}")
        timing.answered_by = source_label(found.source)
        if not found.candidates:
            return _requested(specs, found.reason)
        return choose_first(policy, found, known.max_runtime)

    def rescales(self, specs: ApplicationSpecs) -> bool:
        """Whether anybody decides on the scale-out once the run has started.

        Raises:
            PolicyNotFound: Its `solution_name` is not known.
        """
        return self._policies.get(specs.global_specs.solution_name).rescales


def _requested(specs: ApplicationSpecs, why: str) -> FirstChoice:
    known = specs.global_specs
    requested = min(max(specs.worker_specs.scale_out, known.min_scale_out), known.max_scale_out)
    reason = f"no prediction: {why}; the scale-out is the requested one"
    return as_requested(requested, known.max_runtime, reason)
