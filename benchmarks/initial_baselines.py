"""What the context model is compared with: each is a function from earlier runs and queries to seconds."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from benchmarks.recorded_runs import CORES, RecordedJob, RecordedRun, Value
from prediction.forecasts.curves import fit_bell, fit_ernest
from training.context_model.encoding import Encoding

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Task:
    """Runtimes to predict for one context from some runs."""

    job: RecordedJob
    context: tuple[tuple[str, Value], ...]
    other: tuple[int, ...]
    """Indices of the runs of other contexts."""
    own: tuple[int, ...]
    """Of the known runs of this context: one for each of some scale-outs."""
    scale_outs: Array
    """All recorded ones of this context, ascending."""
    runtimes: Array
    """Medians recorded there, seconds."""
    asked: Array
    """Which of them are to be predicted: those without a known run."""

    @property
    def known(self) -> list[RecordedRun]:
        return [self.job.runs[index] for index in (*self.other, *self.own)]

    @property
    def queries(self) -> list[RecordedRun]:
        """One recorded run at each scale-out; its runtime is not to be looked at."""
        by_scale_out = self.job.contexts[self.context]
        return [self.job.runs[by_scale_out[x][0]] for x in self.scale_outs]


Predictor = Callable[[Task], Array]


def ernest(task: Task) -> Array:
    own = [task.job.runs[index] for index in task.own]
    curve = fit_ernest([run.scale_out for run in own], [run.runtime_seconds for run in own])
    return np.asarray(curve.predict(task.scale_outs))


def bell(task: Task) -> Array:
    own = [task.job.runs[index] for index in task.own]
    curve = fit_bell([run.scale_out for run in own], [run.runtime_seconds for run in own])
    return np.asarray(curve.predict(task.scale_outs))


def median_of_known(task: Task) -> Array:
    """The same at every scale-out: the median of the known runs of the context."""
    own = [task.job.runs[index].runtime_seconds for index in task.own]
    return np.full(len(task.scale_outs), np.median(own))


def ernest_of_size(task: Task) -> Array:
    """Ernest's curve as it was meant, over the share of the data that each core has, from all known runs.

    Source: Venkataraman et al., Ernest, NSDI 2016, section 3.
    """

    def features(runs: Sequence[RecordedRun]) -> Array:
        size = np.array([_size(task.job, run) for run in runs])
        cores = np.array([run.scale_out * _cores(task.job, run) for run in runs])
        return np.stack([np.ones_like(cores), size / cores, np.log(cores), cores], axis=1)

    seconds = _runtimes(task)
    known = features(task.known)
    unit = known.max(axis=0)
    coefficients, _ = nnls(known / unit / seconds[:, None], np.ones_like(seconds))
    return np.maximum(features(task.queries) / unit @ coefficients, 1e-3)


def proportional(task: Task) -> Array:
    """The runtime of the same machine at the same scale-out by the ratio of the sizes; NaN without one.

    Where several contexts have one, those that share the most values with the context in question.
    """
    asked, machine = dict(task.context), task.job.machine or ""
    size = float(asked[task.job.sizes[0]])
    by_scale_out: dict[float, list[tuple[int, float]]] = {}
    for index in task.other:
        run = task.job.runs[index]
        known = dict(run.context)
        if known.get(machine) == asked.get(machine) and (own := _size(task.job, run)) != size:
            alike = len(set(run.context) & set(task.context))
            by_scale_out.setdefault(run.scale_out, []).append((alike, run.runtime_seconds * size / own))
    found = [by_scale_out.get(x, [(0, np.nan)]) for x in task.scale_outs]
    return np.array(
        [np.median([seconds for alike, seconds in each if alike == max(each)[0]]) for each in found]
    )


def random_forest(task: Task) -> Array:
    known, asked = _columns(task.known, task.queries)
    return np.asarray(RandomForestRegressor(random_state=0).fit(known, _runtimes(task)).predict(asked))


def boosting(task: Task) -> Array:
    """As C3O's: defaults, raw columns, raw runtimes."""
    known, asked = _columns(task.known, task.queries)
    predicted = GradientBoostingRegressor(random_state=0).fit(known, _runtimes(task)).predict(asked)
    return np.maximum(predicted, 1e-3)


def log_boosting(task: Task) -> Array:
    known, asked = _columns(task.known, task.queries)
    model = GradientBoostingRegressor(random_state=0).fit(known, np.log(_runtimes(task)))
    return np.exp(model.predict(asked))


class PlainGaussianProcess:
    """RBF over log features and ln x; parameters are fitted once per job, number of own runs and features."""

    def __init__(self) -> None:
        self._kernels: dict[tuple[str, int, tuple[str, ...], int], Any] = {}

    def __call__(self, task: Task) -> Array:
        encoding = Encoding.of([dict(run.context) for run in task.known])

        def features(runs: Sequence[RecordedRun]) -> Array:
            numeric, codes = encoding.encode([dict(run.context) for run in runs])
            one_hot = [
                codes[:, i : i + 1] == np.arange(len(v)) for i, v in enumerate(encoding.values) if len(v)
            ]
            scale_out = np.log([[run.scale_out] for run in runs])
            return np.concatenate([numeric / np.array(encoding.stds), *one_hot, scale_out], axis=1)

        rows, index = np.unique(features(task.known).round(9), axis=0, return_inverse=True)
        log_runtime = np.log(_runtimes(task))
        counts = np.bincount(index.ravel())
        mean = np.bincount(index.ravel(), log_runtime) / counts
        key = (task.job.name, len(task.own), encoding.numeric, rows.shape[1])
        fitted = self._kernels.get(key)
        kernel = fitted or ConstantKernel() * RBF(np.ones(rows.shape[1]), (0.05, 1e3)) + WhiteKernel(1e-3)
        process = GaussianProcessRegressor(
            kernel, optimizer=None if fitted else "fmin_l_bfgs_b", normalize_y=True, random_state=0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # features that never vary are at a bound
            process.fit(rows, mean)
        self._kernels[key] = process.kernel_
        return np.exp(process.predict(features(task.queries)))


def with_context() -> Mapping[str, Predictor]:
    return {
        "Ernest": ernest,
        "Bell": bell,
        "random forest": random_forest,
        "boosting": boosting,
        "log boosting": log_boosting,
        "plain GP": PlainGaussianProcess(),
    }


def by_size() -> Mapping[str, Predictor]:
    """What is asked where one data size is known."""
    return {
        "proportional": proportional,
        "Ernest": ernest_of_size,
        "boosting": boosting,
        "log boosting": log_boosting,
    }


def _size(job: RecordedJob, run: RecordedRun) -> float:
    return float(dict(run.context)[job.sizes[0]])


def _cores(job: RecordedJob, run: RecordedRun) -> float:
    return float(dict(run.context).get(CORES, 1.0))


def _runtimes(task: Task) -> Array:
    return np.array([run.runtime_seconds for run in task.known])


def _columns(known: Sequence[RecordedRun], asked: Sequence[RecordedRun]) -> tuple[Array, Array]:
    """Recorded columns as they are, texts one-hot, and the scale-out."""
    tables: tuple[list[list[float]], list[list[float]]] = ([], [])
    for name in known[0].columns:
        texts = sorted({v for run in known if isinstance(v := run.columns[name], str)})
        for table, runs in zip(tables, (known, asked), strict=True):
            values = [run.columns[name] for run in runs]
            if texts:
                table.extend([[float(value == text) for value in values] for text in texts])
            else:
                table.append([float(value) for value in values])
    for table, runs in zip(tables, (known, asked), strict=True):
        table.append([run.scale_out for run in runs])
    return np.array(tables[0]).T, np.array(tables[1]).T
