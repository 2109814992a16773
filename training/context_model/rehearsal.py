"""How wide intervals have to be, from rehearsals: as if only a few runs of an earlier context were known.

A context with single runs at some scale-outs is predicted worse than one in which everything was
repeated, and single runs are now and then far off. So each earlier context is taken out, single runs
of it at as many scale-outs as are known of the context in question are put back, and all others are
predicted, with the parameters as they are. Contexts with fewer scale-outs have them left out one by one.
Parameters were fitted to these contexts too, so that small errors among several are no reason for
narrower intervals; those of a single context are near what was believed of any.

Source: Rasmussen and Williams, 2006, section 5.4.2, for leaving points out of one inverse.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.statistics.arrays import Floats
from training.statistics.predictive_std import interval_std

MAX_REHEARSED = 6
"""Known scale-outs of a context from which on more make no difference."""

DRAWS = 2
"""Choices of known scale-outs per context."""

DOUBT = 4.0
"""Points' worth of belief that errors are as large as the model says, against what the data shows."""

STANDARDIZED_ERROR_LIMIT = 4.0
"""Standard deviations that a single error counts at most."""


@dataclass(frozen=True)
class Rehearsed:
    """Rehearsal of one context: errors about it given all others."""

    error: Floats
    """Errors of log medians, (K,)."""
    covariance: Floats
    """Covariance of these errors, (K, K)."""
    noise: Floats
    """Variance of these medians about what runs take on average, (K,)."""
    deviations: Sequence[Floats]
    """Log deviations of single runs from their median, per scale-out."""

    def given_runs(self, kept: Sequence[int], single_noise: float, draw: np.random.Generator) -> Floats:
        """Standardized errors of the points at which no run is kept, given single runs at the others.

        Args:
            kept: Scale-outs at which a single run is known.
            single_noise: Variance of single runs.
        """
        predicted = [row for row in range(len(self.error)) if row not in kept]
        deviations = [self.deviations[row][draw.integers(len(self.deviations[row]))] for row in kept]
        kept_covariance = self._latent[kept][:, kept]
        shared = self._latent[kept][:, predicted]
        gain = np.linalg.solve(kept_covariance + single_noise * np.eye(len(kept)), shared).T
        variance = self.covariance[predicted, predicted] - (gain.T * shared).sum(axis=0)
        gap = self.error[predicted] - gain @ (self.error[kept] + deviations)
        return np.asarray(gap / np.sqrt(np.maximum(variance, 1e-12)))

    def one_by_one(self) -> Floats:
        """Standardized errors of each point with all others kept as they are, (K,)."""
        precision = np.linalg.inv(self.covariance)
        return np.asarray(precision @ self.error / np.sqrt(np.diag(precision)))

    @cached_property
    def _latent(self) -> Floats:
        """Covariance of what runs take on average."""
        return np.asarray(self.covariance - np.diag(self.noise))


def inflations(contexts: Sequence[Rehearsed], single_noise: float) -> tuple[float, ...]:
    """Inflations: factors by which standard deviations are too small, by the number of known scale-outs."""
    draw = np.random.default_rng(0)
    one_by_one = [context.one_by_one() for context in contexts]
    by_known_scale_outs = []
    for known_scale_outs in range(MAX_REHEARSED + 1):
        errors: list[Floats] = []
        for context, each in zip(contexts, one_by_one, strict=True):
            size = len(context.error)
            if size > known_scale_outs and len(contexts) > 1:
                for _ in range(DRAWS if known_scale_outs else 1):
                    kept = sorted(map(int, draw.choice(size, known_scale_outs, replace=False)))
                    errors.append(context.given_runs(kept, single_noise, draw))
            elif size > 1:
                errors.append(each)
        measured = _inflation(np.concatenate([np.zeros(0), *errors]))
        by_known_scale_outs.append(measured if len(contexts) == 1 else max(measured, 1.0))
    return tuple(by_known_scale_outs)


def _inflation(errors: Floats) -> float:
    """The wider of what the mean square and the 90% quantile of standardized errors say.

    Few errors say little of the parameters either: that widens as Student's distribution does.
    """
    sizes, number = np.minimum(np.abs(errors), STANDARDIZED_ERROR_LIMIT), len(errors)
    if not number:
        return math.sqrt(2.0)
    square = max(float((sizes**2).mean()), interval_std(sizes) ** 2)
    return math.sqrt((number * square + DOUBT) / (number + DOUBT) * (1.0 + 1.0 / (number + 1.0)))
