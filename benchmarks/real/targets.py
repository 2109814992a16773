"""Runtime targets of the loop, and the static choice in hindsight, from recorded runs of the middle size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.real.applications import MIDDLE_SIZE, SCALE_OUTS
from benchmarks.real.plan import Disturbance
from benchmarks.real.recordings import Recording
from prediction.forecasts.curves import fit_ernest

TARGET_SCALE_OUT = 3
"""That just meets the target, where more executors make a run faster."""

TARGET_SLACK = 1.1
"""Of the target over what runs at that scale-out take by Ernest's curve."""

MOST_MISSED = 0.1
"""Of recorded runs, by the static choice in hindsight."""


@dataclass(frozen=True)
class Target:
    """What the runs of an application are to keep."""

    seconds: float
    static_scale_out: int
    """The smallest that keeps it in nine of ten cases, by Ernest's curve over the recorded runs and how far
    all of them are off it; where there is none, the fastest by the curve."""
    share_met: Mapping[int, float]
    """Of recorded runs, by scale-out."""

    @property
    def separates(self) -> bool:
        """Whether a choice is needed: it is neither the smallest scale-out nor the largest."""
        return min(SCALE_OUTS) < self.static_scale_out < max(SCALE_OUTS)


def target_of(recorded: Sequence[Recording]) -> Target:
    """1.1 times what runs of the middle size take with three executors, by Ernest's curve over all of them.

    Only undisturbed runs without a rescaling count.

    Raises:
        SystemExit: Fewer than three scale-outs are recorded in that size.
    """
    by_scale_out: dict[int, list[float]] = {}
    for each in recorded:
        planned = each.planned
        is_plain = planned.disturbance is Disturbance.NONE and planned.rescale_to is None
        if is_plain and planned.size == MIDDLE_SIZE:
            by_scale_out.setdefault(planned.scale_out, []).append(each.runtime_seconds)
    if len(by_scale_out) < 3:
        raise SystemExit(
            "A target needs undisturbed runs of the middle size at three scale-outs; record more."
        )
    points = [(x, seconds) for x, runtimes in sorted(by_scale_out.items()) for seconds in runtimes]
    curve = fit_ernest([float(x) for x, _ in points], [seconds for _, seconds in points])
    target = round(TARGET_SLACK * float(curve.predict([float(TARGET_SCALE_OUT)])[0]), 1)
    shares = {
        x: sum(seconds <= target for seconds in runtimes) / len(runtimes)
        for x, runtimes in sorted(by_scale_out.items())
    }
    expected = {x: float(curve.predict([float(x)])[0]) for x in SCALE_OUTS}
    late = float(np.quantile([math.log(seconds / expected[x]) for x, seconds in points], 1 - MOST_MISSED))
    meeting = [x for x in SCALE_OUTS if expected[x] * math.exp(late) <= target]
    return Target(target, min(meeting, default=min(SCALE_OUTS, key=lambda x: expected[x])), shares)
