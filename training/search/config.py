"""The hyperparameter search of the online predictor: its space and its settings, in this one file."""

from dataclasses import dataclass, field

RAY_HOME = "enel-ray-"
"""What names of folders of a Ray of the search's own begin with."""


@dataclass(frozen=True)
class Range:
    """A uniform (or log-uniform) range of a float."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """Alternatives without an order."""

    options: tuple[int, ...]


def _space() -> dict[str, Range | Choice]:
    return {
        # One step per epoch on few samples: slower rates do not arrive within the epochs, faster
        # ones jump between the bounds of the correction.
        "learning_rate": Range(1e-3, 3e-2, log=True),
        # AdamW's decoupled decay; five runs need much more of it than sixty.
        "weight_decay": Range(1e-5, 1e-1, log=True),
        # Of the hidden layer of every part.
        "dropout": Range(0.0, 0.4),
        # Node states; must be even, as two attention heads share it.
        "hidden_dim": Choice((16, 32)),
        # Log: how far the network may move a runtime away from the law, 0.1 is about 10%.
        "correction_limit": Range(0.05, 0.5, log=True),
        # Standard deviation of what is added to node features in training.
        "noise": Range(0.0, 0.2),
    }


@dataclass(frozen=True)
class SearchConfig:
    """Settings of one search."""

    trials: int = 40
    """The paper's number. TPE's first ten are random, so fewer than that is a random search."""

    max_epochs: int = 300
    """Upper limit; most trials end earlier, by halving or because validation stopped improving."""

    epochs_per_report: int = 10
    """Epochs between two reports to the scheduler: a report costs about as much as an epoch."""

    grace_epochs: int = 100
    """No trial is stopped before: validation often gets worse before it gets better, and soonest where
    learning is fast."""

    reduction_factor: int = 3
    """Keeps one in this many trials at each rung."""

    max_concurrent: int = 2
    """Trials at a time; each has one thread. The service itself needs processors too."""

    lag: int = 4
    """A trial is proposed, and stopped, by what trials that began at least so many before came to, so
    that nothing depends on which of the parallel ones is faster. More trials at a time widen it; up to
    so many, their number has no influence on the result."""

    object_store_bytes: int = 100 * 1024 * 1024
    """Ray's shared memory; a history takes a few megabytes. 75 MiB is the least Ray accepts."""

    seed: int = 0
    """Of the folds, the weights and the sampler."""

    space: dict[str, Range | Choice] = field(default_factory=_space)
    """By name of the field of `training.runtime_model.artifact.Hyperparameters`."""
