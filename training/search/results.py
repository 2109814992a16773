"""What a search tells of its trials, and what it comes to."""

import math
from dataclasses import dataclass
from typing import Any

from training.runtime_model.artifact import Hyperparameters, TrainedModel


class SearchFailed(RuntimeError):
    """No trial came to a result."""


@dataclass(frozen=True)
class TrialReport:
    """One trial that has ended."""

    trial: str
    state: str
    """`TERMINATED`, `PRUNED` by the scheduler, or `ERROR`."""
    done: int
    total: int
    loss: float | None
    best_loss: float | None
    hyperparameters: dict[str, Any]
    curve: tuple[tuple[int, float], ...] = ()
    """Epochs, and the loss at the best one so far."""
    node: str | None = None
    """Ray's id of the node where it ended; None: none reported."""


@dataclass(frozen=True)
class Outcome:
    """What one trial came to."""

    hyperparameters: Hyperparameters
    loss: float
    epochs: int


@dataclass(frozen=True)
class SearchResult:
    model: TrainedModel
    best_loss: float | None
    """None: all trials have diverged."""
    hyperparameters: Hyperparameters
    trials: int
    """Trials that came to a result."""


def told(loss: float | None) -> float | None:
    """A loss, where it is one: JSON has no infinity."""
    return loss if loss is not None and math.isfinite(loss) else None
