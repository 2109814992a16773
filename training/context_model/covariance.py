"""Covariance of log runtimes over contexts and scale-outs, and the fit of its parameters.

A sum of terms, each a belief of its own about how runtimes vary:

- linear, category: a factor per numeric feature (a power law of it) and per category value;
- size: how far runtimes are from growing as the data do; unknown until two sizes are known;
- memory: what happens where the data no longer fit into it, a random walk over memory per data;
- law: a scale-out law alpha ln x + beta / x that all contexts share; smooth: what it misses;
- context, context_law, context_smooth: the same three, changing smoothly from context to context;
- group, group_law: a factor and a law of one context alone, which no feature explains;
- spot: of one context at one scale-out; noise: of one run.

Parameters are logs: of the terms' variances, then of length scales. Each has a normal prior, so that
few runs already give a sane covariance; their posterior mode is found with exact gradients.

Numpy and scipy only. Axes: P, Q points, D features (numeric, then categories).
Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, sections 2.2, 5.4;
Venkataraman et al., Ernest, NSDI 2016, for the terms of the law.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve
from scipy.optimize import minimize

from training.context_model.encoding import Encoding, Points
from training.statistics.arrays import Bools, Floats

LAW_TERMS = ("law", "context_law", "group_law")
CONTEXT_TERMS = (
    "linear",
    "size",
    "memory",
    "category",
    "context",
    "context_law",
    "context_smooth",
    "group",
    "group_law",
)
BELIEFS: dict[str, tuple[float, float]] = {
    "noise": (0.03, 0.7),
    "spot": (0.03, 1.0),
    "linear": (0.5, 1.0),
    "size": (0.3, 1.0),
    "memory": (0.5, 1.0),
    "category": (0.3, 1.0),
    "law": (0.5, 1.0),
    "smooth": (0.15, 1.0),
    "context": (0.3, 1.0),
    "context_law": (0.2, 1.0),
    "context_smooth": (0.1, 1.0),
    "group": (0.05, 1.0),
    "group_law": (0.05, 1.0),
}
"""Standard deviation of each term (of log runtime), and how sure that is: of its log variance."""

SCALE_OUT_LENGTH = (0.6, 0.5)
NUMERIC_LENGTH = (2.0, 1.0)
CATEGORY_LENGTH = (1.0, 1.0)
"""Length scales (in ln x, in standard deviations, in differing values), and how sure: of their logs."""

CONSTANT = 25.0
"""Variance of the level of all runtimes: anything goes."""

JITTER = 1e-8
FEW = 2.0
"""Scale-out at which 1/x counts as much as a step in ln x."""

STEEPEST = 3.0
"""Bound of what 1/x may become below that."""


def terms_in_use(terms: Sequence[str], encoding: Encoding) -> tuple[str, ...]:
    """Those of the terms that there are features for."""
    has_features = bool(encoding.numeric or encoding.categories)
    lacking = {
        *(() if has_features else CONTEXT_TERMS),
        *(() if encoding.sizes else ("size",)),
        *(() if encoding.knows_memory else ("memory",)),
    }
    return tuple(term for term in terms if term not in lacking)


class Repeats(NamedTuple):
    """Runs of one context at one scale-out, about their median: what single runs vary by."""

    degrees: float = 0.0
    """Degrees of freedom: such runs less the number of their contexts and scale-outs."""
    squares: float = 0.0
    """Sum of squared deviations of log runtime."""


class Tables(NamedTuple):
    """Tables over pairs of points that the covariance is made of; parameters come later."""

    linear: Floats
    """(P, Q)"""
    size: Floats
    """(P, Q)"""
    memory: Floats
    """Shortage that both have, (P, Q)."""
    category: Floats
    """Number of equal category values, (P, Q)."""
    law: Floats
    """(P, Q)"""
    scale_out: Floats
    """Squared distances in ln x, (P, Q)."""
    features: Floats
    """Squared distances by feature, in standard deviations, (D, P * Q)."""
    group: Floats
    spot: Floats


@dataclass(frozen=True)
class Covariance:
    """Covariance of log runtimes between points: the terms in use, and the units they are in."""

    terms: tuple[str, ...]
    stds: Floats
    """Standard deviations of the numeric features, (F,)."""
    categories: int
    environment: Bools
    """Which of the features tell machines apart, (D,)."""
    carried: float
    """Share of what the other features explain that holds on any machine."""
    mean_log_scale_out: float
    sizes: tuple[int, ...] = ()
    """Numeric features that are sizes of the data."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, but for the features' length scales, which follow."""
        return ("noise", *self.terms, "scale_out_length")

    def beliefs(self) -> tuple[Floats, Floats]:
        """Prior means and standard deviations of the log parameters."""
        entries = [(2 * np.log(BELIEFS[name][0]), BELIEFS[name][1]) for name in self.names[:-1]]
        lengths = [SCALE_OUT_LENGTH, *[NUMERIC_LENGTH] * len(self.stds)]
        lengths += [CATEGORY_LENGTH] * self.categories
        entries += [(np.log(length), sure) for length, sure in lengths]
        mean, std = np.array(entries).T
        return mean, std

    def law_basis(self, log_scale_out: Floats) -> Floats:
        """Basis of the scale-out law: ln x and 1/x, around the middle of the known scale-outs, (P, 2)."""
        inverse = np.minimum(FEW * np.exp(-log_scale_out), STEEPEST)
        middle = np.minimum(FEW * np.exp(-self.mean_log_scale_out), STEEPEST)
        return np.stack([log_scale_out - self.mean_log_scale_out, inverse - middle], axis=1)

    def tables(self, a: Points, b: Points) -> Tables:
        """Tables of all pairs of two sets of points, (P,) and (Q,)."""
        shape = (len(a.context), len(b.context))
        gaps = ((a.numeric[:, None] - b.numeric) / self.stds) ** 2
        same_category = (a.categories[:, None] >= 0) & (a.categories[:, None] == b.categories)
        distances = np.concatenate([gaps, ~same_category], axis=2)
        return Tables(
            linear=self._others(a.numeric) @ self._others(b.numeric).T,
            memory=np.minimum.outer(a.shortage, b.shortage),
            size=np.outer(a.log_size, b.log_size),
            category=same_category.sum(axis=2).astype(np.float64),
            law=self.law_basis(a.log_scale_out) @ self.law_basis(b.log_scale_out).T,
            scale_out=(a.log_scale_out[:, None] - b.log_scale_out) ** 2,
            features=distances.reshape(shape[0] * shape[1], -1).T.copy(),
            group=((a.context[:, None] == b.context) & (b.context >= 0)).astype(np.float64),
            spot=((a.spot[:, None] == b.spot) & (b.spot >= 0)).astype(np.float64),
        )

    def _others(self, numeric: Floats) -> Floats:
        """Features that the linear term is of: not sizes where these have one of their own."""
        if "size" not in self.terms:
            return numeric
        return np.delete(numeric, list(self.sizes), axis=1)

    def parts(self, tables: Tables, parameters: Floats) -> dict[str, Floats]:
        """Shares of the covariance by term, each (P, Q)."""
        return self._parts(tables, parameters)[0]

    def _parts(self, tables: Tables, parameters: Floats) -> tuple[dict[str, Floats], Floats | float]:
        """The terms, and the share of those over contexts that changes with the machine."""
        values = dict(zip(self.names, np.exp(parameters), strict=False))
        near, machine_share = self._near(tables, parameters)
        smooth = np.exp(-0.5 * tables.scale_out / values["scale_out_length"] ** 2)
        shapes = {
            "spot": tables.spot,
            "linear": tables.linear,
            "size": tables.size,
            "memory": tables.memory,
            "category": tables.category,
            "law": tables.law,
            "smooth": smooth,
            "context": near,
            "context_law": near * tables.law,
            "context_smooth": near * smooth,
            "group": tables.group,
            "group_law": tables.group * tables.law,
        }
        return {name: values[name] * shapes[name] for name in self.terms}, machine_share

    def _near(self, tables: Tables, parameters: Floats) -> tuple[Floats, Floats | float]:
        """Similarity of contexts, and the share of it that the machines' similarity decides."""
        shape, weights = tables.law.shape, np.exp(-2.0 * parameters[len(self.names) :])

        def similarity(used: Bools) -> Floats:
            return np.asarray(np.exp(-0.5 * (weights[used] @ tables.features[used]).reshape(shape)))

        if not self.environment.any():
            return similarity(np.ones_like(self.environment)), 1.0
        machine = (1.0 - self.carried) * similarity(self.environment)
        return similarity(~self.environment) * (self.carried + machine), machine / (self.carried + machine)

    def between(self, a: Points, b: Points, parameters: Floats) -> Floats:
        """Covariance of two sets of points, without the runs' noise, (P, Q)."""
        total = np.full((len(a.context), len(b.context)), CONSTANT)
        for part in self.parts(self.tables(a, b), parameters).values():
            total += part
        return total

    def variance(self, points: Points, parameters: Floats) -> Floats:
        """Variance of each point by itself, without the runs' noise, (P,)."""
        values = dict(zip(self.names, np.exp(parameters), strict=False))
        law = (self.law_basis(points.log_scale_out) ** 2).sum(axis=1)
        ones = np.ones_like(law)
        shapes = {
            **dict.fromkeys(("spot", "smooth", "context", "context_smooth", "group"), ones),
            **dict.fromkeys(LAW_TERMS, law),
            "linear": (self._others(points.numeric) ** 2).sum(axis=1),
            "size": points.log_size**2,
            "memory": points.shortage,
            "category": np.full_like(law, self.categories),
        }
        return np.asarray(CONSTANT + sum((values[name] * shapes[name] for name in self.terms), 0 * ones))

    def fit(
        self,
        points: Points,
        residual: Floats,
        counts: Floats,
        repeats: Repeats,
        iterations: int = 60,
    ) -> Floats:
        """Parameters of highest posterior density.

        Args:
            residual: Log runtimes beyond what is believed without any data, (P,).
            counts: Of the runs behind each, (P,).
            repeats: Tell the noise of runs from what is particular to a spot; medians alone do not.
        """
        tables = self.tables(points, points)
        mean, std = self.beliefs()

        def loss(parameters: Floats) -> tuple[float, Floats]:
            return self._loss(parameters, tables, residual, counts, (mean, std), repeats)

        bounds = list(zip(mean - 4 * std, mean + 4 * std, strict=True))
        options = {"maxiter": iterations}
        optimum = minimize(loss, mean, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        return np.asarray(optimum.x if np.isfinite(optimum.fun) else mean)

    def _loss(
        self,
        parameters: Floats,
        tables: Tables,
        residual: Floats,
        counts: Floats,
        beliefs: tuple[Floats, Floats],
        repeats: Repeats,
    ) -> tuple[float, Floats]:
        """Negative log posterior density, up to a constant, and its gradient."""
        mean, std = beliefs
        names = self.names
        parts, machine_share = self._parts(tables, parameters)
        noise = np.exp(parameters[0]) / counts
        covariance = np.full_like(tables.law, CONSTANT) + np.diag(noise + JITTER)
        for part in parts.values():
            covariance += part
        try:
            factor = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            return 1e12, np.zeros_like(parameters)
        inverse = cho_solve((factor, True), np.eye(len(residual)))
        alpha = inverse @ residual
        deviation = (parameters - mean) / std
        value = 0.5 * residual @ alpha + np.log(np.diag(factor)).sum() + 0.5 * deviation @ deviation
        scatter = repeats.squares * np.exp(-parameters[0])
        value += 0.5 * (repeats.degrees * parameters[0] + scatter)
        slope = inverse - np.outer(alpha, alpha)
        gradient = np.zeros_like(parameters)
        gradient[0] = np.diag(slope) @ noise + repeats.degrees - scatter
        for name, part in parts.items():
            gradient[names.index(name)] = np.vdot(slope, part)
        length = np.exp(parameters[len(names) - 1])
        moved = _sum_of(parts, ("smooth", "context_smooth"), slope)
        gradient[len(names) - 1] = np.vdot(moved, tables.scale_out) / length**2
        lengths = np.exp(parameters[len(names) :])
        if len(lengths):
            moved = _sum_of(parts, ("context", "context_law", "context_smooth"), slope)
            of_features = tables.features @ moved.ravel()
            machine = self.environment
            of_features[machine] = tables.features[machine] @ (moved * machine_share).ravel()
            gradient[len(names) :] = of_features / lengths**2
        return float(value), 0.5 * gradient + deviation / std


def _sum_of(parts: dict[str, Floats], names: Sequence[str], weight: Floats) -> Floats:
    total = np.zeros_like(weight)
    for name in names:
        if name in parts:
            total += parts[name]
    return weight * total
