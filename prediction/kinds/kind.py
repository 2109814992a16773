"""A kind of model: how it learns, and how its versions serve."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from training.kinds import Files, TrainableKind


@dataclass(frozen=True)
class Work:
    """Something for a worker process: what it calls, and with what."""

    function: Callable[[Any], Any]
    """Of a module: a worker finds it by its name, and imports what that module imports."""
    request: Any
    """Picklable."""


class ModelKind(TrainableKind, Protocol):
    """One kind of model, as `TrainableKind` says; whose versions serve from worker processes.

    A worker keeps what it has made of a version's files, by the artifact's key.
    """

    @property
    def prepare_worker(self) -> Callable[[], object]:
        """What a worker does before its first request: a function of a module, to import what takes long."""

    def preload(self, files: Files, artifact_key: str) -> Work:
        """Reading a version, so that its first question does not wait for that.

        What the work raises for files that cannot be used is a ValueError.
        """

    def ask(self, files: Files | None, artifact_key: str, question: Any) -> Work:
        """Answering a question; of what type both are, the kind's own module says.

        Without files, a worker answers from what it has made of them before, or `FilesNeeded`.

        What the work raises for files that cannot be used is a ValueError.
        """
