"""Whether executors are worth their price: what a run is late by with fewer, against what fewer save.

A rule asks for a confidence, or for the fastest, at any price. Where executors hardly help, nine times as
many buy a little confidence: nobody would pay for it. So the choice of a rule is looked at once more, with
all smaller ones beside it. A run costs its executors times its time, and every second that it is expected to
be late costs as many executors' seconds as the rule's choice has executors, times a price. The cheapest is
taken.

Being late is counted in seconds and not in runs for a reason. More time makes every scale-out less late, and
small ones by more, so that it never leads to a larger one; the chance of meeting the target would give a
hopeless run more executors once there is a little more time. For that, a larger scale-out is taken to be late
by no more than a smaller one is: that is not what executors are taken away for.

Source of the trade: Ferguson et al., Jockey, EuroSys 2012, who choose the least allocation of the highest
utility over completion times.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from common.executions.candidate import Candidate
from training.statistics.arrays import Floats

QUANTILES = 64
"""Equally likely runs that a distribution stands for."""

MOVING_SHARE = 0.05
"""What it costs to rescale a run, as a share of what its present scale-out costs."""

_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / QUANTILES) for i in range(QUANTILES)])


def worth_its_price(
    chosen: Candidate,
    candidates: Sequence[Candidate],
    budget_seconds: float,
    lateness_price: float,
    current: Candidate | None = None,
) -> Candidate:
    """The cheapest of a rule's choice and those with fewer executors, lateness counted.

    Args:
        candidates: Those that may be chosen.
        budget_seconds: What is left of the runtime target; negative when it has passed.
        lateness_price: Seconds of the run that one second of lateness is worth; infinite: whatever it costs.
        current: What the run has; None before it.
    """
    smaller = sorted(
        (each for each in candidates if each.scale_out < chosen.scale_out), key=lambda each: each.scale_out
    )
    if not smaller or math.isinf(lateness_price):
        return chosen
    known = [*smaller, chosen]
    price = np.array([each.executor_seconds for each in known])
    if current is not None:
        elsewhere = np.array([each.scale_out != current.scale_out for each in known])
        price += MOVING_SHARE * current.executor_seconds * elsewhere
    price += lateness_price * chosen.scale_out * lateness_seconds(known, budget_seconds)
    cheapest = int(np.argmin(price))
    return known[cheapest] if price[cheapest] < price[-1] else chosen


def lateness_seconds(candidates: Sequence[Candidate], budget_seconds: float) -> Floats:
    """Seconds beyond a budget that runs take on average, those in time counted as 0, (X,).

    Stalls that befall any run are left aside.

    Args:
        candidates: By scale-out, ascending; a larger one is taken to be late by no more.
    """
    late = np.array([each.late_log_std for each in candidates])
    early = np.array([_early_log_std(each) for each in candidates])
    log_std = np.where(_NORMAL > 0, late[:, None], early[:, None])
    median = np.array([each.remaining_seconds for each in candidates])
    seconds = np.minimum.accumulate(median[:, None] * np.exp(log_std * _NORMAL), axis=0)
    return np.asarray(np.maximum(seconds - budget_seconds, 0.0).mean(axis=1))


def _early_log_std(candidate: Candidate) -> float:
    return candidate.late_log_std if candidate.early_log_std is None else candidate.early_log_std
