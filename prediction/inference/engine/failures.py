"""Why the engine does not do what it is asked, and how that travels."""

from prediction.inference.model_process.words import (
    ModelDied,
    ModelFailed,
    ModelOverdue,
    ModelTooLarge,
)


class EngineUnavailable(Exception):
    """The engine, its gateway or all replicas are away; to ask again later is safe."""


class LoadFailed(Exception):
    """A deployment does not run, and nothing of it is left; the message is for whoever owns the model."""


OK = "ok"

KINDS: dict[str, type[Exception]] = {
    "died": ModelDied,
    "overdue": ModelOverdue,
    "too_large": ModelTooLarge,
    "failed": ModelFailed,
    "load_failed": LoadFailed,
    "unavailable": EngineUnavailable,
}
"""Errors by the names under which they travel: from a replica, and from the gateway."""


def kind_of(error: Exception) -> str:
    """The name of an error's class; whatever else goes wrong is the engine's own failure."""
    return next((kind for kind, each in KINDS.items() if type(error) is each), "unavailable")


def error_of(kind: str, message: str) -> Exception:
    """The error of this name."""
    return KINDS.get(kind, EngineUnavailable)(message)
