"""Kinds of models, as trainings see them: what each learns from, how, and whether a new version serves.

Supervisor, gate and schedules ask a kind and know none by its name. A kind is added in
`prediction.kinds.registry`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from common.errors import ModelKindNotFound
from common.models.versions import ModelVersion, Promotion, TrainingData

Files = Mapping[str, bytes]
"""Of an artifact, by name."""


class TrainingFailed(Exception):
    """A model could not be trained; the message is for the person who asked."""


class ComparisonFailed(Exception):
    """Two versions could not be compared; the message is for the person who asked."""


@dataclass(frozen=True)
class Material:
    """What one training learns from."""

    request: Mapping[str, Any]
    """What the child process finds in FOLDER/request.json."""
    training_data: TrainingData
    """The same, for the registry."""
    log: Sequence[str] = ()
    """Lines for whoever follows the training."""


@dataclass(frozen=True)
class Facts:
    """What the registry keeps of a trained model, beside its files."""

    schema_version: int
    """Of the files' content."""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)


class TrainableKind(Protocol):
    """One kind of model. Its name is part of what versions and files are called: it never changes."""

    @property
    def name(self) -> str:
        """One segment of a path, without dots: `model_name` of requests, `kind` of what is stored."""

    @property
    def default_trials(self) -> int:
        """Trials of a training where neither the request nor TRAINING_TRIALS says how many."""

    @property
    def most_runs(self) -> int:
        """How many of the most recent runs a model learns from at most: older ones are no news."""

    @property
    def module(self) -> str:
        """What learns, in a child process: `python -m MODULE FOLDER`, as `common.processes.child` says.

        It reads FOLDER/request.json, writes the model's files to FOLDER/artifact/, and ends with a
        `result` event; `trial` and `log` events before are for whoever follows the training.
        """

    async def collect(
        self, system_name: str, algorithm_name: str, *, trials: int, champion: ModelVersion | None
    ) -> Material:
        """What a training of an algorithm learns from now.

        Args:
            champion: The version that serves, to keep runs back for a comparison with it.
        Raises:
            TrainingFailed: There is nothing to learn from.
        """

    def facts(self, files: Files, result: Mapping[str, Any]) -> Facts:
        """What the registry keeps, from the trained files and the child's `result` event."""

    async def compare(
        self,
        champion: ModelVersion,
        candidate: ModelVersion,
        champion_files: Files,
        candidate_files: Files,
        folder: Path,
    ) -> Promotion:
        """Whether the candidate is to serve in place of the champion.

        A version is no worse than itself. A champion whose files cannot be used gives way.

        Args:
            champion_files: As they were published; it may be that they cannot be used any more.
            folder: For this comparison alone; there is nothing at that path, before and afterwards.
        Raises:
            ComparisonFailed: The candidate cannot be used, or the two cannot be compared now.
        """


Kind = TypeVar("Kind", bound=TrainableKind, covariant=True)


class Kinds(Generic[Kind]):
    """The kinds of models of a service, in order; the first one is meant where nobody names one."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._by_name = {kind.name: kind for kind in kinds}
        self.default = kinds[0]

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._by_name.values())

    def get(self, name: str) -> Kind:
        """The kind of this name.

        Raises:
            ModelKindNotFound: There is none; another version of the service may know it.
        """
        try:
            return self._by_name[name]
        except KeyError as error:
            known = ", ".join(self._by_name)
            raise ModelKindNotFound(f"model_name is {name!r}; known: {known}.") from error
