"""Methods that a run is forecast by."""

from enum import StrEnum


class Method(StrEnum):
    """Method that a policy wants forecasts by."""

    MODEL = "model"
    """The application's model; before a run, whatever knows such runs best."""
    ERNEST = "ernest"
    BELL = "bell"
    ERNEST_PER_JOB = "ernest-per-job"

    @property
    def label(self) -> str:
        """Name of the method in sentences for people."""
        return _LABELS[self]


_LABELS = {
    Method.MODEL: "the model",
    Method.ERNEST: "Ernest's curve of whole runs",
    Method.BELL: "Bell's curve of whole runs",
    Method.ERNEST_PER_JOB: "Ernest's curves, one per job",
}
