"""How runtimes may go with the scale-out, as a handful of shapes; what is known of one context chooses.

A smooth law bends where a few runs are far off, and goes on falling where nothing falls any more. With one
context alone there is nothing else to learn its shape from. So simple shapes are kept beside it: a constant,
power laws, Amdahl's with and without a cost of each executor, broken lines, steps. Each has its level from
the data; they are averaged by how well they explain it, and by what was believed before (Bayes). Noise is
one of several sizes, so that a run that is far off makes all of them likely instead of bending one.

Numpy only. Axes: G shapes, P known points, Q asked ones.
Sources: Hoeting et al., Bayesian Model Averaging, Statistical Science, 1999; Amdahl, AFIPS 1967.
"""

from typing import NamedTuple

import numpy as np

from training.statistics.arrays import Floats

NOISE_STDS = np.array([0.03, 0.06, 0.1, 0.17, 0.3, 0.5])
"""Standard deviations of log runtimes that are thought of."""
_NOISE_BELIEF = np.array([0.1, 0.2, 0.25, 0.2, 0.15, 0.1])

_BELIEFS = {"constant": 0.2, "power": 0.15, "amdahl": 0.25, "broken": 0.2, "step": 0.1, "costly": 0.1}
"""Of each kind, shared by its shapes."""

MOST_COUNTED = 4.0
"""Runs of one scale-out from which on more make its median no surer: what they share is not noise."""

LEFT_OUT = 12
"""Points at most that are left out one by one, evenly chosen."""


class ShapeForecast(NamedTuple):
    """Log runtimes, of what runs take on average."""

    mean: Floats
    """(Q,)"""
    variance: Floats
    """(Q,)"""


def joined(one: ShapeForecast, other: ShapeForecast, share: float) -> ShapeForecast:
    """Mean of two forecasts by what the first counts; the variance holds what they differ by."""
    within = share * one.variance + (1.0 - share) * other.variance
    between = share * (1.0 - share) * (one.mean - other.mean) ** 2
    return ShapeForecast(share * one.mean + (1.0 - share) * other.mean, within + between)


class Shapes:
    """Shapes over the range of what is known of a context, and how much each is believed."""

    def __init__(self, scale_outs: Floats, log_runtime: Floats, counts: Floats) -> None:
        """Weigh the shapes.

        Args:
            scale_outs: (P,), at least two different ones.
            log_runtime: Medians, (P,).
            counts: Of the runs behind each, (P,).
        """
        self._log_scale_outs, self._log_runtime = np.log(scale_outs), log_runtime
        self._counts = np.minimum(counts, MOST_COUNTED)
        self._first, self._last = self._log_scale_outs.min(), self._log_scale_outs.max()
        self._known, self._belief = self._shapes(self._log_scale_outs)

    def forecast(self, scale_outs: Floats) -> ShapeForecast:
        """Average of the shapes at some scale-outs, (Q,)."""
        return self._forecast(np.ones(len(self._counts)), self._shapes(np.log(scale_outs))[0])

    def left_out_errors(self) -> Floats:
        """Log errors about points, each from the others; NaN for those that were not left out, (P,)."""
        errors = np.full(len(self._counts), np.nan)
        for row in _evenly(len(errors), LEFT_OUT):
            kept = np.ones(len(errors))
            kept[row] = 0.0
            found = self._forecast(kept, self._known[:, [row]])
            errors[row] = found.mean[0] - self._log_runtime[row]
        return errors

    def _forecast(self, kept: Floats, asked: Floats) -> ShapeForecast:
        """From some of the points.

        Args:
            kept: 1 or 0 for each, (P,).
            asked: Shapes where they are asked, (G, Q).
        """
        counts = self._counts * kept
        beyond = self._log_runtime - self._known
        level = beyond @ counts / counts.sum()
        squares = (beyond - level[:, None]) ** 2 @ counts
        degrees = kept.sum() - 1.0
        likelihood = -degrees * np.log(NOISE_STDS) - squares[:, None] / (2.0 * NOISE_STDS**2)
        belief = self._belief[:, None] + np.log(_NOISE_BELIEF) + likelihood
        weight = np.exp(belief - belief.max())
        weight /= weight.sum()
        of_shape = weight.sum(axis=1)
        values = asked + level[:, None]
        mean = of_shape @ values
        of_level = float(weight.sum(axis=0) @ NOISE_STDS**2) / counts.sum()
        return ShapeForecast(mean, of_shape @ (values - mean) ** 2 + of_level)

    def _shapes(self, log_scale_outs: Floats) -> tuple[Floats, Floats]:
        """Log runtimes up to a level, (G, Q), and the logs of what each shape is believed, (G,)."""
        first, last = self._first, self._last
        middle = 0.5 * (first + last)
        x = log_scale_outs
        ratios = np.exp(np.linspace(-3.5, 3.0, 14))
        places = np.linspace(first, last, 9)[1:-1]
        kinds: dict[str, list[Floats]] = {
            "constant": [np.zeros_like(x)],
            "power": [-power * x for power in np.linspace(0.1, 1.2, 12)],
            "amdahl": [np.log(ratio + np.exp(middle - x)) for ratio in ratios],
            "broken": [
                -power * np.minimum(x, place) for power in (0.3, 0.6, 0.9, 1.2, 1.8) for place in places
            ],
            "step": [-jump * (x >= place) for jump in (0.3, 0.6, 1.0, 1.5) for place in places],
            "costly": [
                np.log(ratio + np.exp(middle - x) + cost * np.exp(x - middle))
                for ratio in (0.1, 0.4, 1.5)
                for cost in (0.1, 0.3, 1.0)
            ],
        }
        beliefs = [np.full(len(kinds[kind]), np.log(b / len(kinds[kind]))) for kind, b in _BELIEFS.items()]
        return np.stack([shape for kind in _BELIEFS for shape in kinds[kind]]), np.concatenate(beliefs)


SMALLEST_ERROR = 0.07
"""Of a left-out error: smaller ones are chance."""

LARGEST_ERROR = 1.0
"""A single one counts no more."""


def share_of_law(law_errors: Floats, shape_errors: Floats) -> float:
    """What a smooth law counts beside the shapes, by what both were wrong by about points left out.

    Args:
        law_errors, shape_errors: Logs, (P,); NaN where a point was not left out. With fewer than three
            points nothing can be told, and both count the same.
    """
    known = np.isfinite(shape_errors) & np.isfinite(law_errors)
    count = int(known.sum())
    if count < 3:
        return 0.5

    def square(errors: Floats) -> float:
        bounded = np.minimum(np.abs(errors[known]), LARGEST_ERROR)
        return float(np.mean(bounded**2)) + SMALLEST_ERROR**2

    odds = (square(shape_errors) / square(law_errors)) ** (0.5 * count)
    return float(odds / (1.0 + odds))


def _evenly(count: int, most: int) -> list[int]:
    return sorted({round(each) for each in np.linspace(0, count - 1, min(count, most))})
