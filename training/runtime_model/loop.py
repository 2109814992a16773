"""The training loop: pretraining with held-out runs.

A sample is a run at a cut: jobs up to it are known with their metrics, later ones are predicted,
exactly as in a forecast. What a run's samples know of history comes from a prior fitted without
that run. The network starts as the identity on that prior; validation decides how far it moves.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from training.history.values import RunRecord
from training.runtime_model.artifact import Hyperparameters, TrainedModel
from training.runtime_model.joint_forecast import choose_share, joint_errors
from training.runtime_model.loss import Evaluation
from training.runtime_model.prepared import TRAINING_CUTS_PER_RUN, Prepared, prepare
from training.runtime_model.pretraining.trainee import Course, Trainee
from training.statistics.arrays import Bools
from training.statistics.predictive_std import LeftOutErrors, error_stds

PATIENCE_EPOCHS = 100
"""Epochs without a better validation score after which a session has finished. An epoch is one step, and
validation often gets worse for the first hundred, while training errors hardly move."""

EPOCHS_PER_VALIDATION = 10
"""Validation costs more than a step."""

VALIDATION_SAMPLES = 120
"""That epochs and trials are chosen by, where a history has more: neighbouring cuts of a run err alike."""

UNVALIDATED_LOG_ERROR_STD = 0.25
"""Claimed where a single run leaves nothing to validate on."""

GATES = (0.25, 0.5, 1.0)
"""How far the correction may count, where the network serves."""

NETWORK, LAWS = "network", "laws"
"""What may serve: laws corrected by the network, or laws alone; similar runs are joined to either."""

CLEARLY_BETTER = 0.97
"""Share of the laws' error below which the network serves. Its best epoch was chosen on the runs that
it is judged on; laws alone also need no fine-tuning, and decide faster."""


class PretrainingSession:
    """Pretraining in steps of one epoch, so that a search can stop it early.

    Validated in three folds of whole runs (two runs: two folds), so that every run is held out once:
    on a quarter of the runs alone, the best of many trials is the one that was luckiest with them.
    The model that `finish` returns is trained anew on the whole history for the number of epochs that
    validated best: with few runs, each one counts, and a run at a scale-out nobody else had would
    otherwise be missing from the network for good. A single run leaves nothing to validate on; its
    model is the law alone.

    In a long history epochs are chosen by some cuts of the runs, and what they are worth is judged by all.
    """

    def __init__(
        self,
        history: Sequence[RunRecord] | Prepared,
        hyperparameters: Hyperparameters,
        *,
        max_epochs: int = 300,
        seed: int = 0,
    ) -> None:
        self.prepared = history if isinstance(history, Prepared) else prepare(history)
        self.hyperparameters, self.max_epochs, self.seed = hyperparameters, max_epochs, seed
        runs = len(self.prepared.evidence.contexts)
        order = np.random.default_rng(seed).permutation(runs)
        held_out = [order[fold::3] for fold in range(min(3, runs))] if runs > 1 else []
        of_run = self.prepared.run_of
        everything = np.arange(len(of_run))
        self._course = Course(self.prepared, hyperparameters)
        self._folds = [
            (Trainee(self._course, everything[~np.isin(of_run, runs_)], seed), samples)
            for runs_ in held_out
            if len(samples := everything[np.isin(of_run, runs_)])
        ]
        self._some = _some_of_each_run(self.prepared)
        self.epochs = 0
        self.best_epochs = 0
        self._best_weights = self._averages()
        self._law = self._best = self._evaluate(self._best_weights)
        self._latest = self._law.score

    @property
    def best_loss(self) -> float:
        """Lowest validation score of a trained network so far (before, the law's)."""
        return self._best.score

    @property
    def finished(self) -> bool:
        """Whether further steps are of no use: all epochs are done, or validation has stopped improving."""
        waited = self.epochs - self.best_epochs
        return not self._folds or self.epochs >= self.max_epochs or waited >= PATIENCE_EPOCHS

    def steps(self, epochs: int) -> None:
        """Train so many epochs, or until further ones are of no use."""
        for _ in range(epochs):
            if self.finished:
                break
            self.step()

    def step(self) -> float:
        """Train one epoch; returns the latest validation score: lower is better, infinite is no number."""
        for trainee, _ in self._folds:
            trainee.step()
        self.epochs += 1
        if self.epochs % EPOCHS_PER_VALIDATION and self.epochs < self.max_epochs:
            return self._latest
        weights = self._averages()
        result = self._evaluate(weights, among=self._some)
        self._latest = result.score if math.isfinite(result.score) else math.inf
        if self.best_epochs == 0 or self._latest < self._best.score:
            self._best = result._replace(score=self._latest)
            self._best_weights, self.best_epochs = weights, self.epochs
        return self._latest

    def _averages(self) -> list[Tensor]:
        """Averaged weights of the folds as they are now; without folds, those at the beginning."""
        if not self._folds:
            everything = np.arange(len(self.prepared.run_of))
            return [Trainee(self._course, everything, self.seed).average]
        return [trainee.average.clone() for trainee, _ in self._folds]

    def _best_gate(self) -> tuple[float, Evaluation]:
        """Choose how far the correction of the best epoch counts; returns that and its evaluation.

        A network that has diverged is worth what the law is that it began with.
        """
        if not self.best_epochs:
            return 1.0, self._best
        found = {gate: self._evaluate(self._best_weights, gate) for gate in GATES}
        choices = {gate: each for gate, each in found.items() if math.isfinite(each.score)}
        if not choices:
            return 1.0, self._law
        best = min(choices, key=lambda gate: choices[gate].score)
        return best, choices[best]

    def _evaluate(
        self, weights: Sequence[Tensor], gate: float = 1.0, among: Bools | None = None
    ) -> Evaluation:
        """Judge the folds' weights on what each has held out.

        Args:
            among: Which samples are looked at, (S,); all by default.
        """
        if not self._folds:
            return self._course.evaluate(weights[0], np.arange(len(self.prepared.run_of)), gate)
        held_out = [samples if among is None else samples[among[samples]] for _, samples in self._folds]
        parts = [
            self._course.evaluate(of_fold, samples, gate)
            for of_fold, samples in zip(weights, held_out, strict=True)
        ]
        counts = np.array([len(samples) for samples in held_out], dtype=np.float64)
        return Evaluation(
            float(np.average([part.score for part in parts], weights=counts)),
            np.concatenate([part.errors for part in parts]),
            float(np.average([part.metrics_error for part in parts], weights=counts)),
        )

    def finish(self, serves: str | None = None) -> TrainedModel:
        """Train on the whole history for the best number of epochs.

        Args:
            serves: `network` or `laws`; by default, what validation says.
        """
        everything = np.arange(len(self.prepared.run_of))
        trainee = Trainee(self._course, everything, self.seed)
        gate, best = self._best_gate()
        validation = self._validation(serves, gate, best)
        network_serves = validation["serves"] == NETWORK
        for _ in range(self.best_epochs if network_serves else 0):
            trainee.step()
        return TrainedModel(
            self.prepared.evidence,
            self.prepared.calibration,
            self.hyperparameters,
            validation,
            trainee.state(gate if network_serves else 0.0),
            self._left_out_errors(validation["similar_runs_share"]),
        )

    def _left_out_errors(self, share: float) -> LeftOutErrors | None:
        """Left-out errors of the laws joined with similar runs, each run's from all others."""
        if not self._folds:
            return None
        prepared = self.prepared
        error = joint_errors(share, prepared.law_errors, prepared.similar_errors)
        jobs = len(prepared.evidence.graph.job_ids)
        return LeftOutErrors(
            error, prepared.cut_of, prepared.log_scale_outs, prepared.run_of, jobs, prepared.lateness
        )

    def _validation(self, serves: str | None, gate: float, best: Evaluation) -> dict[str, Any]:
        prepared, runs = self.prepared, len(self.prepared.evidence.contexts)
        everything = np.arange(len(prepared.run_of))
        law = prepared.law_errors
        similar = prepared.similar_errors
        share = choose_share(law, similar, runs) if self._folds else 0.0
        held_out = np.concatenate([samples for _, samples in self._folds]) if self._folds else everything
        errors = {
            name: float(np.abs(np.expm1(joint_errors(share, of, similar[held_out]))).mean())
            for name, of in ((NETWORK, best.errors), (LAWS, self._law.errors))
        }
        serves = serves or (NETWORK if errors[NETWORK] < CLEARLY_BETTER * errors[LAWS] else LAWS)
        jobs = len(prepared.evidence.graph.job_ids)
        stds = error_stds(joint_errors(share, law, similar), prepared.cut_of, jobs, runs)
        if not self._folds:
            stds = tuple(max(std, UNVALIDATED_LOG_ERROR_STD) for std in stds)
        method = "leave_one_run_out" if runs <= 3 else "three_folds"
        return {
            "method": method if self._folds else "training_fit",
            "runs": runs,
            "samples": len(held_out),
            "score": best.score,
            "serves": serves,
            "remaining_error": errors[serves],
            "remaining_errors": errors,
            "network_remaining_error": float(np.abs(np.expm1(best.errors)).mean()),
            "law_remaining_error": float(np.abs(np.expm1(self._law.errors)).mean()),
            "metrics_error": best.metrics_error,
            "log_error_std": float(np.mean(stds)),
            "log_error_stds": list(stds),
            "similar_runs_share": share,
            "epochs": self.best_epochs,
            "gate": gate if serves == NETWORK else 0.0,
            "odd_runs": [{"run_id": odd.run_id, "reason": odd.reason} for odd in prepared.odd_runs],
        }


def _some_of_each_run(prepared: Prepared) -> Bools:
    """Samples that are enough to choose by, (S,): every n-th cut of a run, another one first in the next."""
    run_of = prepared.run_of
    every = min(-(-len(run_of) // VALIDATION_SAMPLES), TRAINING_CUTS_PER_RUN)
    first = np.searchsorted(run_of, run_of)  # samples of a run lie together
    place = np.arange(len(run_of)) - first
    return np.asarray((place + run_of) % every == 0)


def pretrain(
    history: Sequence[RunRecord],
    hyperparameters: Hyperparameters,
    *,
    max_epochs: int = 300,
    seed: int = 0,
    report: Callable[[int, float], None] | None = None,
) -> TrainedModel:
    """Train one model; `report` gets every epoch and its validation score.

    Raises:
        EmptyHistory: No run has a job.
    """
    session = PretrainingSession(history, hyperparameters, max_epochs=max_epochs, seed=seed)
    while not session.finished:
        score = session.step()
        if report:
            report(session.epochs, score)
    return session.finish()
