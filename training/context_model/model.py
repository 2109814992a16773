"""The runtime of a whole application from its context and its scale-out, before it runs.

A Gaussian process on log runtimes whose covariance (`covariance`) holds a scale-out law with coefficients
that vary over contexts, and a correction. Features are what the earlier runs show (`encoding`); none are
needed. Its mean is what is believed of any application: more executors, and more of everything in each,
help by the same power law; all but the start of a run grows as the data do (`data_size`). That is what
remains far from all earlier runs, where the standard deviation says so.

Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, sections 2.2, 5.4.2;
Venkataraman et al., Ernest, NSDI 2016; Will et al., C3O: Collaborative Cluster Configuration
Optimization for Distributed Data Processing in Public Clouds, IC2E 2021, for the problem.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import cho_solve

from training.context_model.assumptions import Assumptions
from training.context_model.covariance import JITTER, Covariance, Repeats, terms_in_use
from training.context_model.data_size import at_size, at_usual_size
from training.context_model.encoding import Encoding, Points
from training.context_model.questions import EarlierRun, NoPrediction, Query, RuntimePrediction
from training.context_model.rehearsal import Rehearsed, inflations
from training.context_model.shapes import ShapeForecast, Shapes, joined, share_of_law
from training.context_model.unseen_machines import (
    TREES_SHARE,
    Spots,
    by_trees,
    counterparts,
    is_unseen,
    is_within,
    not_below,
)
from training.statistics.arrays import Floats

CONTEXT_MODEL_SCHEMA_VERSION = 2

MAX_FITTED = 300
"""Points (distinct contexts and scale-outs) that parameters are fitted to; evenly chosen contexts."""

MAX_KNOWN = 1000
"""Points that predictions are made from: those of the latest contexts."""


@dataclass(frozen=True)
class ContextModel:
    """A fitted model; never changed once made. Without runs it knows nothing, and says so."""

    encoding: Encoding
    assumptions: Assumptions
    parameters: Floats
    """Parameters of the covariance, as logs."""
    numeric: Floats
    """Features of the known points, (P, F)."""
    categories: Floats
    """(P, C)"""
    scale_outs: Floats
    """(P,)"""
    log_runtime: Floats
    """Medians of the runs at each point, (P,)."""
    counts: Floats
    """Number of runs at each point, (P,)."""
    inflations: tuple[float, ...] = (1.0,)
    """By how much standard deviations are too small, by the number of scale-outs known of a context;
    the last also holds for more."""
    _contexts: dict[bytes, int] = field(default_factory=dict, compare=False, repr=False)
    _spots: dict[tuple[int, float], int] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for key in _keys(self.numeric, self.categories):
            self._contexts.setdefault(key, len(self._contexts))
        contexts = [self._contexts[key] for key in _keys(self.numeric, self.categories)]
        for spot in zip(contexts, map(float, self.scale_outs), strict=True):
            self._spots.setdefault(spot, len(self._spots))

    def predict(self, queries: Sequence[Query]) -> RuntimePrediction | NoPrediction:
        """Predict log-normal runtimes of some runs; `NoPrediction` without any earlier run.

        Raises:
            ValueError: A scale-out is not positive.
        """
        scale_outs = np.array([float(query.scale_out) for query in queries])
        if not (np.isfinite(scale_outs).all() and (scale_outs > 0).all()):
            raise ValueError("scale-outs must be positive")
        if not len(self.log_runtime):
            return NoPrediction("no earlier run has a runtime and a scale-out")
        numeric, codes = self.encoding.encode([query.context for query in queries])
        asked_spots = Spots(numeric, codes.astype(np.float64), scale_outs)
        points = self._points(*asked_spots)
        mean, variance = self._posterior(points)
        self._correct_unseen(asked_spots, mean, variance)
        known_scale_outs = (points.context[:, None] == self._known_points[0].context).sum(axis=1)
        inflation = np.array(self.inflations)[np.minimum(known_scale_outs, len(self.inflations) - 1)]
        variance = np.maximum(variance, JITTER) * inflation**2
        if len(self._contexts) == 1 and (points.context == 0).all():
            mean, variance = self._beside_shapes(scale_outs, mean, variance)
        mean, slope = at_size(mean, self._log_growth(numeric), self.assumptions.start_seconds)
        std = np.sqrt(variance) * slope
        return RuntimePrediction(mean, std, np.hypot(std, np.exp(0.5 * self.parameters[0])))

    def to_parts(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """Split the model into settings (JSON-able) and arrays."""
        settings = {
            "schema_version": CONTEXT_MODEL_SCHEMA_VERSION,
            "encoding": self.encoding.to_json(),
            "assumptions": asdict(self.assumptions),
            "inflations": list(self.inflations),
        }
        return settings, {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_parts(cls, settings: Mapping[str, Any], arrays: Mapping[str, Floats]) -> "ContextModel":
        """Rebuild the model from what `to_parts` split it into.

        Raises:
            KeyError, TypeError, ValueError: These are not parts of such a model.
        """
        if settings["schema_version"] != CONTEXT_MODEL_SCHEMA_VERSION:
            raise ValueError(f"unknown version of a context model: {settings['schema_version']}")
        assumptions = Assumptions.from_json(settings["assumptions"])
        values: dict[str, Any] = {name: np.asarray(arrays[name], dtype=np.float64) for name in _ARRAYS}
        model = cls(
            encoding=Encoding.from_json(settings["encoding"]),
            assumptions=assumptions,
            inflations=tuple(map(float, settings["inflations"])),
            **values,
        )
        points = len(model.log_runtime)
        widths = (len(model.encoding.numeric), len(model.encoding.categories))
        shapes = [(points, widths[0]), (points, widths[1]), (points,), (points,)]
        actual = [model.numeric.shape, model.categories.shape, model.scale_outs.shape, model.counts.shape]
        parameters = len(model._covariance.names) + sum(widths) if points else 0
        if actual != shapes or model.parameters.shape != (parameters,):
            raise ValueError("the arrays of a context model do not fit each other")
        return model

    def _posterior(self, points: Points) -> tuple[Floats, Floats]:
        """Means and variances, (P,), of what runs take on average with data of the usual size."""
        known_points, level, factor, alpha = self._solved
        cross = self._covariance.between(points, known_points, self.parameters)
        explained = np.einsum("pq,qp->p", cross, cho_solve((factor, True), cross.T))
        variance = self._covariance.variance(points, self.parameters) - explained
        return self._believed(points) + level + cross @ alpha, np.maximum(variance, JITTER)

    def _beside_shapes(self, scale_outs: Floats, mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
        """Join with simple shapes, (P,) each: a context alone has nothing else to learn its law from."""
        if len(np.unique(self.scale_outs)) < 2:
            return mean, variance
        shapes, share = self._shapes
        return joined(ShapeForecast(mean, variance), shapes.forecast(scale_outs), share)

    def _correct_unseen(self, asked_spots: Spots, mean: Floats, variance: Floats) -> None:
        """Add, in place, what is known of machines that no run was on."""
        known_spots, environment = (
            Spots(self.numeric, self.categories, self.scale_outs),
            self._covariance.environment,
        )
        other = counterparts(asked_spots, known_spots, self.encoding.resources, environment)
        if len(other.rows):
            points = self._points(*(array[other.rows] for array in asked_spots))
            shift, lost = self._ordered(points, self._points(*other.moved), other.sign)
            mean[other.rows] += shift
            variance[other.rows] -= lost
        only_machine = is_unseen(asked_spots, known_spots, environment) & is_within(
            asked_spots, known_spots, environment
        )
        if only_machine.any():
            part = Spots(*(array[only_machine] for array in asked_spots))
            by = by_trees(known_spots, self.log_runtime, self.counts, part, self.encoding)
            gap = self._at_usual_size(by, part.numeric) - mean[only_machine]
            mean[only_machine] += TREES_SHARE * gap
            variance[only_machine] += TREES_SHARE * (1.0 - TREES_SHARE) * gap**2

    def _ordered(self, points: Points, moved: Points, sign: Floats) -> tuple[Floats, Floats]:
        """Changes of predictions by knowing that the smaller of two machines is not the faster one.

        Args:
            points: On machines that no run was on, (P,).
            moved: The same on known machines.
            sign: 1 where those are larger, -1 where they are smaller.
        Returns:
            What is to be added to the means, and taken off the variances, (P,).
        """
        known_points, _, factor, _ = self._solved
        (mean, variance), (moved_mean, moved_variance) = self._posterior(points), self._posterior(moved)
        cross, moved_cross = (
            self._covariance.between(p, known_points, self.parameters) for p in (points, moved)
        )
        shared = np.diag(self._covariance.between(points, moved, self.parameters)) - np.einsum(
            "pq,qp->p", cross, cho_solve((factor, True), moved_cross.T)
        )
        slower = sign * (mean - moved_mean)
        slower_variance = np.maximum(variance + moved_variance - 2.0 * shared, JITTER)
        share = sign * (variance - shared) / slower_variance
        gain, lost = not_below(slower, slower_variance)
        return share * gain, share**2 * slower_variance * lost

    def _points(self, numeric: Floats, categories: Floats, scale_outs: Floats) -> Points:
        contexts = [self._contexts.get(key, -1) for key in _keys(numeric, categories)]
        spots = [self._spots.get((c, float(x)), -1) for c, x in zip(contexts, scale_outs, strict=True)]
        return Points(
            numeric=numeric,
            categories=categories.astype(np.int64),
            context=np.array(contexts, dtype=np.int64),
            log_scale_out=self.encoding.log_effective(numeric, scale_outs),
            spot=np.array(spots, dtype=np.int64),
            log_size=self.encoding.log_size(numeric),
            shortage=self.encoding.shortage(numeric, scale_outs),
        )

    def _believed(self, points: Points) -> Floats:
        """Log runtime with data of the usual size, as believed before any run, up to a constant, (P,)."""
        return np.asarray(self.assumptions.scale_out_exponent * points.log_scale_out)

    def _log_growth(self, numeric: Floats) -> Floats:
        """How much more there is to do than with data of the usual size, as a log, (P,)."""
        return np.asarray(self.assumptions.size_exponent * self.encoding.log_size(numeric))

    def _at_usual_size(self, log_runtime: Floats, numeric: Floats) -> Floats:
        """What the same would take with data of the usual size, (P,)."""
        return at_usual_size(log_runtime, self._log_growth(numeric), self.assumptions.start_seconds)

    @property
    def _features(self) -> tuple[Any, ...]:
        """What the parameters belong to; of no runs there are none."""
        encoding = self.encoding
        names = (encoding.numeric, encoding.logarithmic, encoding.categories)
        roles = (encoding.resources, encoding.sizes, encoding.memory)
        return (*names, *roles, self.assumptions, len(self.log_runtime) > 0)

    @cached_property
    def _covariance(self) -> Covariance:
        log_scale_out = self.encoding.log_effective(self.numeric, self.scale_outs)
        return Covariance(
            terms=terms_in_use(self.assumptions.terms, self.encoding),
            stds=np.array(self.encoding.stds),
            categories=len(self.encoding.categories),
            environment=self.encoding.environment(self.numeric, self.categories),
            carried=self.assumptions.carried,
            mean_log_scale_out=float(log_scale_out.mean()),
            sizes=self.encoding.sizes,
        )

    @cached_property
    def _known_points(self) -> tuple[Points, Floats, float]:
        """Points, log runtimes beyond what is believed and the level, and that level."""
        points = self._points(self.numeric, self.categories, self.scale_outs)
        beyond = self._at_usual_size(self.log_runtime, self.numeric) - self._believed(points)
        level = float(beyond.mean())
        return points, beyond - level, level

    @cached_property
    def _solved(self) -> tuple[Points, float, Floats, Floats]:
        """Points, level, factor of their covariance, and its inverse times what is beyond the level."""
        points, residual, level = self._known_points
        noise = np.exp(self.parameters[0]) / self.counts + JITTER
        covariance = self._covariance.between(points, points, self.parameters) + np.diag(noise)
        factor: Floats = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
        return points, level, factor, np.asarray(cho_solve((factor, True), residual))

    @cached_property
    def _precision(self) -> Floats:
        """Inverse of the known points' covariance, (P, P)."""
        return np.asarray(cho_solve((self._solved[2], True), np.eye(len(self.log_runtime))))

    @cached_property
    def _shapes(self) -> tuple[Shapes, float]:
        """Simple shapes, and what the law counts beside them."""
        shapes, alpha = Shapes(self.scale_outs, self.log_runtime, self.counts), self._solved[3]
        law_errors = -alpha / np.diag(self._precision)
        return shapes, share_of_law(law_errors, shapes.left_out_errors())

    def _fitted_parameters(self, repeats: Repeats) -> Floats:
        points, residual, _ = self._known_points
        chosen = _thinned(points, MAX_FITTED)
        part = Points(*(array[chosen] for array in points))
        return self._covariance.fit(part, residual[chosen], self.counts[chosen], repeats)

    def _measured_inflations(self, deviations: Sequence[Floats]) -> tuple[float, ...]:
        """From every context, predicted from the others.

        Args:
            deviations: Of the runs at each point from their median.
        """
        points, _, _, alpha = self._solved
        noise = np.exp(self.parameters[0])
        contexts = []
        for context in np.unique(points.context):
            rows = np.flatnonzero(points.context == context)
            covariance = np.asarray(np.linalg.inv(self._precision[np.ix_(rows, rows)]), dtype=np.float64)
            own = [deviations[int(row)] for row in rows]
            contexts.append(Rehearsed(covariance @ alpha[rows], covariance, noise / self.counts[rows], own))
        return inflations(contexts, float(noise))


_ARRAYS = ("parameters", "numeric", "categories", "scale_outs", "log_runtime", "counts")


def fit_context_model(
    runs: Sequence[EarlierRun],
    *,
    resources: Collection[str] = (),
    sizes: Collection[str] = (),
    memory: Collection[str] = (),
    assumptions: Assumptions | None = None,
    like: ContextModel | None = None,
) -> ContextModel:
    """Fit the model to earlier runs of one application; deterministic.

    Args:
        runs: In order of time. Those without a positive finite runtime and scale-out are left out.
        resources: Names of features that every executor adds: its cores, its memory.
        sizes: Names of features that are sizes of the data.
        memory: Names of features that are an executor's memory, in the unit of the sizes.
        assumptions: Defaults unless something is to be tried without.
        like: A model of other runs of the application, whose parameters are taken over where features are
            the same: the runs are conditioned on, and nothing is optimised.
    """
    usable = [run for run in runs if _positive(run.scale_out) and _positive(run.runtime_seconds)]
    assumptions = assumptions or Assumptions()
    encoding = Encoding.of(
        [run.context for run in usable], resources, sizes, assumptions.share_resources, memory
    )
    numeric, codes = encoding.encode([run.context for run in usable])
    categories = codes.astype(np.float64)
    together: dict[tuple[bytes, float], list[int]] = {}
    for row, key in enumerate(_keys(numeric, categories)):
        together.setdefault((key, float(usable[row].scale_out)), []).append(row)
    latest = dict(sorted(together.items(), key=lambda item: item[1][-1])[-MAX_KNOWN:])
    groups = sorted(latest.values(), key=lambda rows: rows[0])
    first = [rows[0] for rows in groups]
    logs = [np.log([usable[row].runtime_seconds for row in rows]) for rows in groups]
    medians = np.array([float(np.median(each)) for each in logs])
    squares = [float(((each - median) ** 2).sum()) for each, median in zip(logs, medians, strict=True)]
    repeats = Repeats(float(sum(map(len, groups)) - len(groups)), sum(squares))
    model = ContextModel(
        encoding=encoding,
        assumptions=assumptions,
        parameters=np.zeros(0),
        numeric=numeric[first],
        categories=categories[first],
        scale_outs=np.array([float(usable[row].scale_out) for row in first]),
        log_runtime=medians,
        counts=np.array([float(len(rows)) for rows in groups]),
    )
    if not groups:
        return model
    if like is not None and like._features == model._features:
        return _with(model, parameters=like.parameters, inflations=like.inflations)
    model = _with(model, parameters=model._fitted_parameters(repeats))
    deviations = [each - median for each, median in zip(logs, medians, strict=True)]
    return _with(model, inflations=model._measured_inflations(deviations))


def _with(model: ContextModel, **changes: Any) -> ContextModel:
    settings, arrays = model.to_parts()
    values = {**arrays, "inflations": tuple(settings["inflations"]), **changes}
    return ContextModel(encoding=model.encoding, assumptions=model.assumptions, **values)


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _keys(numeric: Floats, categories: Floats) -> list[bytes]:
    """Keys that tell contexts apart: rounded features and codes as bytes."""
    rows = np.concatenate([np.round(numeric, 9) + 0.0, categories], axis=1)
    return [row.tobytes() for row in rows]


def _thinned(points: Points, limit: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Indices of at most about `limit` points: whole contexts, evenly chosen."""
    contexts = np.unique(points.context)
    if len(points.context) <= limit:
        return np.arange(len(points.context))
    wanted = max(1, int(len(contexts) * limit / len(points.context)))
    chosen = contexts[np.linspace(0, len(contexts) - 1, wanted).astype(np.int64)]
    return np.flatnonzero(np.isin(points.context, chosen))[:limit]
