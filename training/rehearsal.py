"""How wide intervals have to be, from rehearsals: as if only a few runs of an earlier context were known.

A context with single runs at some scale-outs is predicted worse than one in which everything was
repeated, and single runs are now and then far off. So each earlier context is taken out, single runs
of it at as many scale-outs as are known of the context in question are put back, and the rest is
predicted, with the parameters as they are. Contexts with fewer scale-outs have them left out one by one.
Parameters were fitted to these contexts too, so that small errors among several are no reason for
narrower intervals; those of a single context are near what was believed of any.

Source: Rasmussen and Williams, 2006, section 5.4.2, for leaving points out of one inverse.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.features import Floats

MAX_REHEARSED = 6
"""Known scale-outs of a context from which on more make no difference."""

DRAWS = 2
"""Choices of known scale-outs per context."""

DOUBT = 4.0
"""Points' worth of belief that errors are as large as the model says, against what the data shows."""

COVERED, NORMAL_QUANTILE = 0.9, 1.645
LARGEST = 4.0
"""Standard deviations that a single error counts at most."""


@dataclass(frozen=True)
class Rehearsed:
    """One context given all others."""

    error: Floats
    """Of log medians, (K,)."""
    covariance: Floats
    """Of these errors, (K, K)."""
    noise: Floats
    """Variance of these medians about what runs take on average, (K,)."""
    deviations: Sequence[Floats]
    """Of single runs from their median, per scale-out."""

    def standardized(
        self, kept: Sequence[int], single_noise: float | None, draw: np.random.Generator
    ) -> Floats:
        """Errors where nothing is kept, over their standard deviations.

        Args:
            single_noise: Variance of single runs, to put these back; None: medians are.
        """
        rest = [row for row in range(len(self.error)) if row not in kept]
        latent = self.covariance - np.diag(self.noise)
        seen, noise = self.error[kept], self.noise[kept]
        if single_noise is not None:
            seen = seen + np.array([draw.choice(self.deviations[row]) for row in kept])
            noise = np.full(len(kept), single_noise)
        gain = np.linalg.solve(latent[np.ix_(kept, kept)] + np.diag(noise), latent[np.ix_(kept, rest)]).T
        variance = np.diag(self.covariance)[rest] - np.einsum("rk,kr->r", gain, latent[np.ix_(kept, rest)])
        return np.asarray((self.error[rest] - gain @ seen) / np.sqrt(np.maximum(variance, 1e-12)))


def inflations(contexts: Sequence[Rehearsed], single_noise: float) -> tuple[float, ...]:
    """By how much standard deviations are too small (below 1: too large), by the scale-outs known."""
    draw = np.random.default_rng(0)
    found = []
    for known in range(MAX_REHEARSED + 1):
        errors: list[Floats] = []
        for context in contexts:
            size = len(context.error)
            if size > known and len(contexts) > 1:
                for _ in range(DRAWS if known else 1):
                    kept = sorted(map(int, draw.choice(size, known, replace=False)))
                    errors.append(context.standardized(kept, single_noise, draw))
            elif size > 1:
                for left_out in range(size):
                    others = [row for row in range(size) if row != left_out]
                    errors.append(context.standardized(others, None, draw))
        measured = _inflation(np.concatenate([np.zeros(0), *errors]))
        found.append(measured if len(contexts) == 1 else max(measured, 1.0))
    return tuple(found)


def _inflation(errors: Floats) -> float:
    """The wider of what the mean square and the 90% quantile of standardized errors say.

    Few errors say little of the parameters either: that widens as Student's distribution does.
    """
    sizes, number = np.minimum(np.abs(errors), LARGEST), len(errors)
    if not number:
        return math.sqrt(2.0)
    level = min(COVERED * (1.0 + 1.0 / number), 1.0)
    quantile = float(np.quantile(sizes, level, method="higher")) / NORMAL_QUANTILE
    square = max(float((sizes**2).mean()), quantile**2)
    return math.sqrt((number * square + DOUBT) / (number + DOUBT) * (1.0 + 1.0 / (number + 1.0)))
