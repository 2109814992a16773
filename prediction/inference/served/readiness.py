"""Whether a model answers now, and what whoever asks is told where it does not."""

from dataclasses import dataclass
from enum import StrEnum

from common.errors import ServiceError, Unavailable
from prediction.inference.served.kinds import VersionNotServable


class ServerState(StrEnum):
    ASLEEP = "ASLEEP"
    """Nothing is loaded; the next question loads it."""
    LOADING = "LOADING"
    READY = "READY"
    FAILED = "FAILED"
    """What is to answer did not load, and nothing else can."""


class NotReady(Unavailable):
    """No version of the model answers now."""

    title = "The model is not ready"


class StillLoading(NotReady):
    """The time of a question is over before anything answers; the load goes on for others."""

    status, title = 504, "No answer in time"


class TooManyModels(Unavailable):
    """It says nothing of a version, which is tried again with the next question."""

    title = "Too many models are in memory"


@dataclass
class Failure:
    """A version that is to answer did not load."""

    version: int
    error: Exception
    at: float
    """Of the event loop's clock."""

    @property
    def why(self) -> str:
        """In a line: what the process has printed is for the log."""
        return str(self.error).split("\n")[0][:500]

    def for_who_asks(self, model: str) -> ServiceError:
        """It may pass, or it lies in the version itself."""
        told = f"Version {self.version} of {model} does not load: {self.why}"
        lies_in_version = isinstance(self.error, ServiceError) and self.error.status < 500
        return VersionNotServable(told) if lies_in_version else NotReady(told)
