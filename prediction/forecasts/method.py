"""By what a run is forecast."""

from enum import StrEnum


class Method(StrEnum):
    """What a policy wants to have forecasts from."""

    MODEL = "model"
    """The application's model; before a run, whatever knows such runs best."""
    ERNEST = "ernest"
    BELL = "bell"
    ERNEST_PER_JOB = "ernest-per-job"

    @property
    def label(self) -> str:
        """In sentences for people."""
        return _LABELS[self]


_LABELS = {
    Method.MODEL: "the model",
    Method.ERNEST: "Ernest's curve of whole runs",
    Method.BELL: "Bell's curve of whole runs",
    Method.ERNEST_PER_JOB: "Ernest's curves, one per job",
}
