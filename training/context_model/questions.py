"""What a context model is fitted to, asked, and answers."""

from dataclasses import dataclass

from training.context_model.encoding import Context
from training.statistics.arrays import Floats


@dataclass(frozen=True)
class EarlierRun:
    """A finished run of the application."""

    context: Context
    """Features by name: numbers, texts, or None where unknown."""
    scale_out: float
    """Executors or machines."""
    runtime_seconds: float


@dataclass(frozen=True)
class Query:
    """A run to predict."""

    context: Context
    scale_out: float


@dataclass(frozen=True)
class RuntimePrediction:
    """Log-normal runtimes, one per query."""

    log_mean: Floats
    """Mean of the log of seconds: its exponential is the median."""
    log_std: Floats
    """Standard deviation of what runs take on average in this context at this scale-out."""
    run_log_std: Floats
    """Standard deviation of what one run takes; larger by the noise of single runs."""


@dataclass(frozen=True)
class NoPrediction:
    """Answer of a model that knows no runs."""

    reason: str
