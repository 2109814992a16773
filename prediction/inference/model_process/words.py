"""What can go wrong with a model, and how its process ended, in words."""

import signal

_LOG_LINES = 12


class ModelError(Exception):
    """A model does not answer; the message is for whoever owns it."""


class ModelFailed(ModelError):
    """It could not be loaded."""


class ModelDied(ModelError):
    """Its process ended while it was asked."""


class ModelGone(ModelDied):
    """Its process had ended before it began with a request, which can be repeated."""


class ModelOverdue(ModelError):
    """It did not answer in time."""


class ModelTooLarge(ModelError):
    """It took more memory than it may, and was ended for that."""


def how_it_ended(code: int) -> str:
    """Of a process, by its exit code; negative: the number of the signal that ended it."""
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name} ended it"


def with_log(message: str, log: str) -> str:
    """A message, followed by the last lines of a model's output where there are any."""
    lines = log.strip().splitlines()[-_LOG_LINES:]
    return "\n".join([message, "Its last output:", *lines]) if lines else message
