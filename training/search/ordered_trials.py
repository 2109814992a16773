"""Proposals and early stopping that do not depend on which of the parallel trials ends first.

Trials are numbered as they begin. Trial k is proposed, and is stopped, by what trials 0 to k − lag
came to, all of which have ended by then; nothing is taken from the `lag` − 1 trials that may run
beside it. So a seed gives the same search on a busy machine as on an idle one, and the search of n
trials is the beginning of any longer one. With the usual asynchronous halving, both TPE's model and
the rungs hold whatever has arrived.

Source of the rungs: Li et al., A System for Massively Parallel Hyperparameter Tuning, arXiv:1810.05934.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch


class OrderedOptuna(OptunaSearch):  # type: ignore[misc]
    """Optuna's proposals, from results told in the order of the trials."""

    def __init__(self, lag: int, **options: Any) -> None:
        super().__init__(**options)
        self._lag = lag
        self._order: list[str] = []
        self._ended: dict[str, tuple[dict[str, Any] | None, bool]] = {}
        self._told = 0

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Propose the next trial; None while an earlier one that it depends on still runs."""
        needed = max(len(self._order) + 1 - self._lag, 0)
        if any(earlier not in self._ended for earlier in self._order[:needed]):
            return None
        for earlier in self._order[self._told : needed]:
            super().on_trial_complete(earlier, *self._ended[earlier])
        self._told = needed
        self._order.append(trial_id)
        proposed: dict[str, Any] = super().suggest(trial_id)
        return proposed

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: only how a trial ended counts."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Keep the result until its turn."""
        self._ended.setdefault(trial_id, (result, error))


class OrderedHalving(FIFOScheduler):  # type: ignore[misc]
    """Successive halving: at each rung a trial goes on if it is among the best of the earlier ones.

    A trial that has finished by itself counts with its best loss at all later rungs; one that has diverged,
    whose loss is not finite, does not count. The first `lag` trials, which have none to be compared with, are
    not stopped.
    """

    def __init__(self, rungs: Sequence[int], reduction_factor: float, lag: int) -> None:
        """Epochs of the rungs, ascending; one in `reduction_factor` trials goes on."""
        super().__init__()
        self._rungs, self._share, self._lag = tuple(rungs), 100.0 / reduction_factor, lag
        self._numbers: dict[str, int] = {}
        self._losses: list[dict[int, float]] = []

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        self._numbers[trial.trial_id] = len(self._losses)
        self._losses.append({})

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        number = self._numbers[trial.trial_id]
        own = self._losses[number]
        for rung in self._rungs:
            if rung in own or result["epochs"] < rung:
                continue
            own[rung] = result["loss"]
            known = self._losses[: max(number + 1 - self._lag, 0)]
            earlier = [losses[rung] for losses in known if math.isfinite(losses.get(rung, math.inf))]
            if earlier and not own[rung] <= np.percentile(earlier, self._share):
                return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        if result.get("complete"):
            own = self._losses[self._numbers[trial.trial_id]]
            own.update({rung: result["loss"] for rung in self._rungs if rung not in own})

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing: its losses up to now stay."""


def rungs(grace_epochs: int, max_epochs: int, reduction_factor: int) -> tuple[int, ...]:
    """Epochs at which trials are compared: the grace period, and each time that many times more."""
    found = [max(1, min(grace_epochs, max_epochs))]
    while found[-1] * reduction_factor < max_epochs:
        found.append(found[-1] * reduction_factor)
    return tuple(found)
