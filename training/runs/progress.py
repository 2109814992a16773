"""What the child of a training reports, until it is stored."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from common.instruments import Instruments
from training.runs.documents import TrialOutcome
from training.runs.repository import LOG_LINES

TRIALS_KEPT = 1000
"""A stored document may hold 16 MB; the outcome of a trial takes about one kilobyte."""


@dataclass
class Progress:
    """What has been reported since the last heartbeat that was stored, and how it ended."""

    instruments: Instruments
    fields: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    result: dict[str, Any] | None = None
    error: str | None = None
    again: bool = False
    """Whether the error may have passed when the training is tried anew."""
    _trials: list[dict[str, Any]] = field(default_factory=list)

    def add(self, event: dict[str, Any]) -> None:
        """Note an event of the child. Raises KeyError, TypeError or ValueError for what is none."""
        match event.get("event"):
            case "log":
                self.lines.append(str(event.get("line", "")))
            case "trial":
                self.fields |= {"trials_done": event["done"], "trials_total": event["total"]}
                if event.get("best_loss") is not None:
                    self.fields["best_loss"] = event["best_loss"]
                outcome = TrialOutcome.model_validate(event)
                self.instruments.count_trial(outcome.state)
                self._trials.append(outcome.model_dump())
                self.fields["trials"] = self._trials[:TRIALS_KEPT]
                loss = event.get("loss")
                shown = "no loss" if loss is None else f"loss {loss:.4f}"
                self.lines.append(
                    f"trial {event['done']}/{event['total']}: {shown} {event.get('hyperparameters', '')}"
                )
            case "result":
                self.result = event
            case "error":
                self.error = str(event.get("message", "unknown error"))
                self.again = event.get("again") is True

    def take(self) -> tuple[dict[str, Any], list[str]]:
        """Fields and lines of the log to be stored."""
        taken = self.fields, self.lines
        self.fields, self.lines = {}, []
        return taken

    def put_back(self, fields: Mapping[str, Any], lines: Iterable[str]) -> None:
        """What was taken and could not be stored; what came since is newer."""
        self.fields = {**fields, **self.fields}
        self.lines = [*lines, *self.lines][-LOG_LINES:]
