"""Hyperparameter search: trials of a pretraining, and the model of the best one.

The winner is trained once more in this process, which takes seconds, is exact (a seed fixes it) and
spares checkpoints. A seed fixes the whole search (`training.search.ordered_trials`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from training.history.values import RunRecord
from training.runtime_model.artifact import Hyperparameters
from training.runtime_model.loop import PretrainingSession
from training.runtime_model.prepared import Prepared, prepare
from training.search.config import SearchConfig
from training.search.results import Outcome, SearchResult, TrialReport, told
from training.statistics.threads import compute_in_one_thread


def search_hyperparameters(
    history: Sequence[RunRecord],
    folder: Path,
    search: SearchConfig,
    *,
    address: str = "",
    report: Callable[[TrialReport], None] = lambda _: None,
) -> SearchResult:
    """Search, then train the best trial's model on the whole history.

    Args:
        folder: For files of the search; what it adds there is removed again.
        address: Of the Ray cluster that trials run on; empty: one that ends with the search.
        report: Called in this thread whenever a trial has ended.
    Raises:
        ClusterUnavailable: That cluster cannot be used.
        EmptyHistory: No run has a job.
        SearchFailed: No trial came to a result.
    """
    compute_in_one_thread()
    prepared = prepare(history)
    if len(prepared.evidence.contexts) == 1:
        search = replace(search, trials=1)  # nothing to validate on, so nothing to choose by
    if search.trials == 1 and not address:
        session, trials = run_only_trial(prepared, search, report), 1
    else:
        from training.search.ray_trials import run_trials  # which loads Ray

        outcomes = run_trials(prepared, folder, search, address=address, report=report)
        session, trials = train_best(prepared, outcomes, search), len(outcomes)
    return SearchResult(session.finish(), told(session.best_loss), session.hyperparameters, trials)


def run_only_trial(
    prepared: Prepared, search: SearchConfig, report: Callable[[TrialReport], None] = lambda _: None
) -> PretrainingSession:
    """Run the first trial of a search in this process, to its end.

    Nothing runs beside it and nothing is compared with it, so that it needs no Ray, which costs more than the
    trial where the history is short. It comes to what it comes to in Ray.
    """
    session = _session(prepared, Hyperparameters(), search)
    curve: list[tuple[int, float]] = []
    while not curve or not session.finished:
        session.steps(search.epochs_per_report)
        curve.append((session.epochs, session.best_loss))
    loss = told(session.best_loss)
    finite = tuple((epochs, each) for epochs, each in curve if math.isfinite(each))
    values = asdict(session.hyperparameters)
    report(TrialReport("00000", "TERMINATED", 1, 1, loss, loss, values, finite))
    return session


def train_best(prepared: Prepared, outcomes: Sequence[Outcome], search: SearchConfig) -> PretrainingSession:
    """Train again, to where it came, the trial with the lowest loss; the earlier one of equals."""
    best = min(outcomes, key=lambda outcome: outcome.loss)
    session = _session(prepared, best.hyperparameters, search)
    for _ in range(best.epochs):
        session.step()
    return session


def _session(prepared: Prepared, values: Hyperparameters, search: SearchConfig) -> PretrainingSession:
    return PretrainingSession(prepared, values, max_epochs=search.max_epochs, seed=search.seed)
