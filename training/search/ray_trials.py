"""Trials in Ray Tune: Optuna's TPE proposes, halving stops, actors are reused.

Trials share the prepared history through Ray's object store, and report validation scores only.
"""

import logging
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

from training.search.cluster import connected  # isort: skip - says how Ray is entered before it is imported

import optuna
from ray import tune
from ray.tune.experiment import Trial

from training.runtime_model.artifact import Hyperparameters
from training.runtime_model.prepared import Prepared
from training.search.config import Choice, Range, SearchConfig
from training.search.ordered_trials import OrderedHalving, OrderedOptuna, rungs
from training.search.results import Outcome, SearchFailed, TrialReport, told
from training.search.trial import PretrainingTrial

# Results are not written to files, of which Tune warns trial by trial.
logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.ERROR)
optuna.logging.set_verbosity(optuna.logging.WARNING)

MAX_LOST = 2
"""How often a trial on a cluster begins anew, from its seed, where its node was lost."""


class Progress(tune.Callback):  # type: ignore[misc]
    """Tells the caller about every trial that has ended."""

    def __init__(self, total: int, report: Callable[[TrialReport], None]) -> None:
        self._total, self._report = total, report
        self._done = 0
        self._best: float | None = None
        self._curves: dict[str, list[tuple[int, float]]] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        curve = self._curves.setdefault(trial.trial_id, [])
        if curve and curve[-1][0] >= result["epochs"]:
            curve.clear()  # its node was lost, and it began anew
        if math.isfinite(result["loss"]):
            curve.append((result["epochs"], result["loss"]))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._ended(trial, "TERMINATED" if trial.last_result.get("complete") else "PRUNED")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._ended(trial, "ERROR")

    def __getstate__(self) -> dict[str, Any]:
        """Tune writes its callbacks to disk in order to resume; nobody resumes this search."""
        return {}

    def _ended(self, trial: Trial, state: str) -> None:
        self._done += 1
        loss = told(trial.last_result.get("loss")) if trial.last_result else None
        if loss is not None and state != "ERROR":
            self._best = loss if self._best is None else min(self._best, loss)
        self._report(
            TrialReport(
                trial.trial_id,
                state,
                self._done,
                self._total,
                loss,
                self._best,
                dict(trial.config),
                tuple(self._curves.pop(trial.trial_id, ())),
                trial.last_result.get("node") if trial.last_result else None,
            )
        )


def run_trials(
    prepared: Prepared,
    folder: Path,
    search: SearchConfig,
    *,
    address: str = "",
    report: Callable[[TrialReport], None] = lambda _: None,
) -> list[Outcome]:
    """Run the trials of a search.

    Returns:
        Those that came to a result, at least one, in the order in which they began; the first n are
        those of a search of n trials.
    Raises:
        ClusterUnavailable: The Ray cluster at `address` cannot be used.
        SearchFailed: No trial came to a result.
    """
    storage = folder.resolve() / "tune"
    try:
        with connected(address, folder, search):
            results = _tuner(prepared, storage, search, report, MAX_LOST if address else 0).fit()
            ended = [result for result in results if result.metrics and "loss" in result.metrics]
            failures = [str(error) for error in results.errors]
    finally:
        shutil.rmtree(storage, ignore_errors=True)
    if not ended:
        raise SearchFailed(f"no trial came to a result: {'; '.join(failures)[:500] or 'unknown reason'}")
    return [
        Outcome(Hyperparameters(**result.config), result.metrics["loss"], result.metrics["epochs"])
        for result in ended
    ]


def _tuner(
    prepared: Prepared,
    storage: Path,
    search: SearchConfig,
    report: Callable[[TrialReport], None],
    max_failures: int,
) -> tune.Tuner:
    lag = max(search.lag, search.max_concurrent)
    compared_at = rungs(search.grace_epochs, search.max_epochs, search.reduction_factor)
    defaults = asdict(Hyperparameters())
    first = {name: defaults[name] for name in search.space}
    trainable = tune.with_parameters(PretrainingTrial, prepared=prepared, search=search)
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={name: _domain(choice) for name, choice in search.space.items()},
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            search_alg=OrderedOptuna(lag, seed=search.seed, points_to_evaluate=[first]),
            scheduler=OrderedHalving(compared_at, search.reduction_factor, lag),
            num_samples=search.trials,
            max_concurrent_trials=search.max_concurrent,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(storage),
            verbose=0,
            callbacks=[Progress(search.trials, report)],
            failure_config=tune.FailureConfig(max_failures=max_failures),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )


def _domain(choice: Range | Choice) -> Any:
    if isinstance(choice, Choice):
        return tune.choice(list(choice.options))
    return tune.loguniform(choice.low, choice.high) if choice.log else tune.uniform(choice.low, choice.high)
