"""A Gaussian process with long-tailed noise, fitted to one run per row.

Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, sections 2.2 and
5.4.2 (left-out residuals in closed form); Lange et al., Robust Statistical Modeling Using the t
Distribution, JASA 1989.

Numpy only.
"""

from typing import NamedTuple

import numpy as np

from training.statistics.arrays import Floats

RUN_TAIL_FREEDOM = 4.0
"""Degrees of freedom of Student's t."""

UNOBSERVED = 1e6
"""Noise variance of what was not observed."""


class GaussianProcess(NamedTuple):
    """A fitted Gaussian process; targets are relative to `mean`."""

    mean: float
    alpha: Floats
    """Inverse covariance times targets, (R,)."""
    inverse: Floats
    """Inverse covariance, noise included, (R, R)."""

    @property
    def left_out(self) -> Floats:
        """Left-out residuals, target less prediction from all others, (R,)."""
        return np.asarray(self.alpha / np.diagonal(self.inverse, axis1=-2, axis2=-1))

    @property
    def left_out_std(self) -> Floats:
        """Standard deviations of those predictions, noise included, (R,)."""
        return np.asarray(np.sqrt(1.0 / np.diagonal(self.inverse, axis1=-2, axis2=-1)))


def distances(left: Floats, right: Floats) -> Floats:
    """Euclidean distances between rows, (..., A, F) and (..., B, F) to (..., A, B)."""
    gap = left[..., :, None, :] - right[..., None, :, :]
    return np.asarray(np.sqrt((gap**2).sum(axis=-1)))


def fit_robustly(kernel: Floats, target: Floats, noise: Floats, mean: float) -> GaussianProcess:
    """Fit a Gaussian process with long-tailed noise: what left-out residuals show to be far off counts less.

    Args:
        kernel: Prior covariances, (R, R).
        target: Observations, (R,).
        noise: Variance of each observation, (R,); `UNOBSERVED` for none.
        mean: Prior mean of all observations.
    Source: Lange et al., JASA 1989: iterated reweighting for Student's t.
    """
    robust = np.ones_like(target)
    seen = noise < UNOBSERVED
    for _ in range(4):
        inverse = np.asarray(np.linalg.inv(kernel + np.diag(noise / robust)), dtype=np.float64)
        process = GaussianProcess(mean, inverse @ (target - mean), inverse)
        residual = np.abs(process.left_out)
        residual_std = max(1.4826 * float(np.median(residual[seen])), 0.03) if seen.any() else 1.0
        weight = (RUN_TAIL_FREEDOM + 1) / (RUN_TAIL_FREEDOM + (residual / residual_std) ** 2)
        robust = np.where(seen, np.clip(weight, 0.02, 1.0), 1.0)
    return process
