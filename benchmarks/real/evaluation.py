"""How well recorded runs are predicted: what is left of them after each job, and all of it before they start.

As `benchmarks/remaining_runtime.py`: each run from the runs recorded before it, at the scale-outs that it
really had. Baselines that know no context learn from runs of the same size alone, where there are enough.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from benchmarks.ellis_data import PROFILING_RUNS
from benchmarks.estimators import CurvePerJob, Estimate, Estimator, Model, SimilarMedian
from benchmarks.initial_baselines import Predictor, Task, boosting, log_boosting
from benchmarks.real.plan import Disturbance
from benchmarks.real.recordings import Recording, Store, recordings
from benchmarks.recorded_runs import RecordedJob, RecordedRun, Value
from benchmarks.remaining_runtime import OURS, Results, draw, intervals, predict, table
from benchmarks.reporting import show, write
from prediction.forecasts.curves import fit_ernest
from training.history.values import RunRecord
from training.runtime_model.artifact import TrainedModel
from training.runtime_model.loop import NETWORK

_LEAST_OF_CONTEXT = 3
"""Runs of a size without which a baseline learns from all sizes."""


@dataclass
class OfSameContext:
    """Another estimator, fitted to the runs in the context of the run in question."""

    make: Callable[[], Estimator]
    _history: Sequence[RunRecord] = ()
    _fitted: dict[object, Estimator] = field(default_factory=dict)

    def fit(self, history: Sequence[RunRecord]) -> None:
        self._history, self._fitted = history, {}

    def remaining(self, run: RunRecord, finished: int) -> Estimate:
        if run.context not in self._fitted:
            own = [each for each in self._history if each.context == run.context]
            estimator = self.make()
            estimator.fit(own if len(own) >= _LEAST_OF_CONTEXT else self._history)
            self._fitted[run.context] = estimator
        return self._fitted[run.context].remaining(run, finished)


class InHindsight:
    """What was left of equal runs, later ones too: how far runs scatter whatever is learned.

    Median of undisturbed runs of the same size, of those with the same scale-outs or the nearest. With one to
    three of them it is off by more than the scatter itself, by a factor of the root of 2 to 1.33.
    """

    WIDTH = 0.05
    """In ln x: a run with another scale-out counts where there is no equal one."""

    def __init__(self, undisturbed: Sequence[RunRecord]) -> None:
        self._undisturbed = undisturbed
        self._fitted: dict[str, SimilarMedian] = {}

    def fit(self, history: Sequence[RunRecord]) -> None:
        """Nothing: it knows all runs."""

    def remaining(self, run: RunRecord, finished: int) -> Estimate:
        if run.run_id not in self._fitted:
            others = [each for each in self._undisturbed if each.run_id != run.run_id]
            own = [each for each in others if each.context == run.context]
            estimator = SimilarMedian(self.WIDTH, from_nearest=True)
            estimator.fit(own or others)
            self._fitted[run.run_id] = estimator
        return self._fitted[run.run_id].remaining(run, finished)


@dataclass
class WholeRun:
    """One of the regressors of whole runtimes (`initial_baselines`), before the run."""

    regress: Predictor
    _history: Sequence[RunRecord] = ()

    def fit(self, history: Sequence[RunRecord]) -> None:
        self._history = history

    def remaining(self, run: RunRecord, finished: int) -> Estimate:
        """Raises ValueError after the first job."""
        if finished:
            raise ValueError("it knows nothing of jobs")
        job = RecordedJob(run.context.algorithm_name, tuple(map(_whole, [*self._history, run])))
        asked = job.runs[-1]
        earlier = range(len(self._history))
        own = tuple(index for index in earlier if job.runs[index].context == asked.context)
        other = tuple(index for index in earlier if index not in own)
        # The queries are all runs of the context at some scale-out: the one in question is its own.
        scale_outs = np.array(sorted(job.contexts[asked.context]))
        task = Task(job, asked.context, other, own, scale_outs, np.empty(0), np.empty(0))
        return Estimate(float(self.regress(task)[int(np.searchsorted(scale_outs, asked.scale_out))]))


@dataclass
class AsPlanned:
    """An estimator that is told what is known before a run, its scale-out, and not what becomes of that."""

    estimator: Estimator

    def fit(self, history: Sequence[RunRecord]) -> None:
        self.estimator.fit(history)

    def remaining(self, run: RunRecord, finished: int) -> Estimate:
        x = run.jobs[0].start_scale_out
        jobs = tuple(replace(job, start_scale_out=x, end_scale_out=x) for job in run.jobs)
        return self.estimator.remaining(replace(run, jobs=jobs), finished)


def _whole(run: RunRecord) -> RecordedRun:
    """What is known before a run, and its runtime."""
    context = run.context
    columns: dict[str, Value] = {
        "data size": float(context.data_size_mb),
        **{f"argument {index}": _number(each) for index, each in enumerate(context.algorithm_args)},
    }
    runtime = run.runtime_seconds or run.jobs[-1].end_seconds
    return RecordedRun(tuple(columns.items()), float(run.jobs[0].start_scale_out), runtime, columns)


def _number(text: str) -> Value:
    try:
        return float(text)
    except ValueError:
        return text


class Trained:
    """What is trained for one application; estimators that differ only in how they are asked share it."""

    def __init__(self) -> None:
        self.by_choice: dict[int, TrainedModel] = {}
        """By the number of runs; what serves is what validation says."""
        self.networks: dict[int, TrainedModel] = {}
        """Whatever validation says."""
        self.by_choice_without_metrics: dict[int, TrainedModel] = {}
        self.networks_without_metrics: dict[int, TrainedModel] = {}

    @property
    def networks_serve(self) -> float:
        """Share of the models whose network validation has chosen."""
        models = self.by_choice.values()
        return sum(model.network_serves for model in models) / len(models) if models else 0.0


def estimators(seed: int, epochs: int, retrain_runs: int, trained: Trained) -> dict[str, Estimator]:
    """Ours, its parts, and simple ones.

    Validation may say that the laws serve; what the network is worth then is seen where it always does.
    """
    model = partial(Model, seed, max_epochs=epochs, retrain_runs=retrain_runs)
    chosen = partial(model, trained=trained.by_choice)
    network = partial(model, trained=trained.networks, serves=NETWORK)
    return {
        OURS: chosen(),
        "without graph network": chosen(network=False),
        "without metrics": model(trained=trained.by_choice_without_metrics, metrics=False),
        "without fine-tuning": chosen(fine_tunes=False),
        "network always": network(),
        "network always, no metrics": model(
            trained=trained.networks_without_metrics, metrics=False, serves=NETWORK
        ),
        "network always, no fine-tuning": network(fine_tunes=False),
        "laws alone": chosen(network=False, similar_runs=False),
        "median of similar runs": OfSameContext(SimilarMedian),
        "Ernest per job": OfSameContext(lambda: CurvePerJob(fit_ernest)),
    }


def before_run() -> dict[str, Estimator]:
    """Those that know whole runs alone."""
    return {"gradient boosting": WholeRun(boosting), "log gradient boosting": WholeRun(log_boosting)}


def evaluate(
    store: Store,
    applications: Sequence[str],
    console: Console,
    output: Path,
    *,
    seed: int,
    epochs: int,
    retrain_runs: int,
) -> None:
    """Print and write both tables. Raises SystemExit where no application has enough recorded runs."""
    torch.set_num_threads(1)
    recorded = {name: recordings(store, name) for name in applications}
    enough = {name: found for name, found in recorded.items() if len(found) > PROFILING_RUNS}
    if not enough:
        raise SystemExit(f"No application in {store.folder} has more than {PROFILING_RUNS} runs.")
    rest, before = _predicted(enough, console, seed, epochs, retrain_runs)
    names = {False: "undisturbed", True: "an executor killed or a neighbour"}
    console.print(f"normal: {names[False]} runs; failures: runs with {names[True]}")
    sections = [
        table(rest, "Error of the rest, after each job"),
        table(before, "Error of the runtime, before the run"),
        intervals(rest, "90% intervals of the rest"),
        intervals(before, "90% intervals of the runtime, before the run"),
    ]
    show(console, sections)
    values = {
        what: {
            name: {
                estimator: {
                    "normal": found[0].error(False),
                    "failures": found[0].error(True),
                    "coverage": found[0].coverage() if found[0].has_intervals else None,
                }
                for estimator, found in by.items()
            }
            for name, by in results.items()
        }
        for what, results in (("rest", rest), ("before", before))
    }
    runs = {name: len(found) for name, found in enough.items()}
    write(output, "real_evaluation", sections, [], {"runs": runs, "seed": seed, **values})
    draw(rest, output / "real_evaluation.png")


def _predicted(
    recorded: Mapping[str, Sequence[Recording]], console: Console, seed: int, epochs: int, retrain_runs: int
) -> tuple[Results, Results]:
    """Of what is left after each job, and before the run."""
    rest: Results = {}
    before: Results = {}
    with Progress(console=console) as progress:
        for name, found in recorded.items():
            runs = [recording.record() for recording in found]
            disturbed = {
                str(each.planned.number) for each in found if each.planned.disturbance is not Disturbance.NONE
            }
            trained = Trained()
            # Who is rescaled in its middle has no runtime at the scale-out that it was started with.
            rescaled = {str(each.planned.number) for each in found if each.planned.rescale_to is not None}

            def of_this() -> dict[str, Estimator]:
                return estimators(seed, epochs, retrain_runs, trained)  # noqa: B023 - used up in this turn

            undisturbed = [run for run in runs if run.run_id not in disturbed]
            bound: dict[str, Estimator] = {"equal runs, in hindsight": InHindsight(undisturbed)}
            asked = [(estimator, made, rest) for estimator, made in {**of_this(), **bound}.items()]
            whole = {**of_this(), **before_run(), **bound}
            asked += [(estimator, AsPlanned(made), before) for estimator, made in whole.items()]
            task = progress.add_task(name, total=len(asked) * (len(runs) - PROFILING_RUNS))
            for estimator, made, results in asked:
                progress.update(task, description=f"{name}: {estimator}")
                predictions = predict(
                    made,
                    runs,
                    1,
                    lambda task=task: progress.advance(task),  # type: ignore[misc]
                    is_failure=lambda run, disturbed=disturbed: run.run_id in disturbed,  # type: ignore[misc]
                    moments=None
                    if results is rest
                    else lambda run, rescaled=rescaled: () if run.run_id in rescaled else (0,),  # type: ignore[misc]
                )
                results.setdefault(name, {}).setdefault(estimator, []).append(predictions)
            console.print(f"{name}: in {trained.networks_serve:.0%} of its models the network serves")
    return rest, before
