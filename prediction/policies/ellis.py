"""Ellis's rule, corrected: it rescales where the time left fits badly, by medians.

Source: Thamsen et al., Ellis: Dynamically Scaling Distributed Dataflows to Meet Runtime Targets,
CloudCom 2017.
"""

from collections.abc import Sequence

from prediction.forecasts.candidate import RuntimeForecast
from prediction.policies.scale_out import Choice

LOWEST, HIGHEST, AIM = 0.85, 1.05, 0.9
"""Ellis leaves a run alone while what follows its next job takes between the first two of the time
then left, and otherwise asks for what takes less than the third."""


def choose_by_ellis(
    forecasts: Sequence[RuntimeForecast],
    after_next_seconds: Sequence[float],
    budget_seconds: float,
    current_scale_out: int,
) -> Choice:
    """Ellis's rule, corrected: what is asked for is the scale-out that was found, not the present one.

    Args:
        forecasts: Of everything that is left, per candidate, at least one.
        after_next_seconds: What is left of it once the next job has ended; empty where that is the last.
        budget_seconds: What is left of the runtime target.
        current_scale_out: What the run has now.
    """
    now = min(range(len(forecasts)), key=lambda i: abs(forecasts[i].scale_out - current_scale_out))
    if not len(after_next_seconds):
        return Choice(
            forecasts[now],
            forecasts[now].remaining_seconds <= budget_seconds,
            "no job follows the next one: the scale-out stays",
        )
    left = budget_seconds - (forecasts[now].remaining_seconds - after_next_seconds[now])
    if forecasts[now].scale_out == current_scale_out and (
        LOWEST * left <= after_next_seconds[now] <= HIGHEST * left
    ):
        return Choice(forecasts[now], True, "what follows the next job fits the time then left")
    fitting = [i for i, seconds in enumerate(after_next_seconds) if seconds < AIM * left]
    if fitting:
        chosen = min(fitting, key=lambda i: forecasts[i].scale_out)
        return Choice(
            forecasts[chosen],
            True,
            f"smallest scale-out with which what follows the next job takes less than {AIM:.0%}"
            f" of the {left:.1f} s then left",
        )
    fastest = min(range(len(forecasts)), key=lambda i: (after_next_seconds[i], forecasts[i].scale_out))
    return Choice(
        forecasts[fastest],
        False,
        f"no scale-out is expected to stay within {budget_seconds:.1f} s; this is the fastest",
    )
