"""The status of a SparkApplication as Apache's operator writes it, whatever is missing in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from submission.kubernetes.states import as_object, time_of

Json = dict[str, Any]

DRIVER = "spark-kubernetes-driver"


@dataclass(frozen=True)
class State:
    """One entry of the history, or the current state."""

    summary: str
    message: str
    at: datetime | None
    driver: Json
    """Status of the driver's pod as it was last seen."""

    @property
    def exit(self) -> Json:
        """Of the driver's container, where it has ended: `exitCode`, `reason`, `finishedAt`."""
        containers = self.driver.get("containerStatuses")
        for container in containers if isinstance(containers, list) else ():
            ended = as_object(as_object(as_object(container).get("state")).get("terminated"))
            if ended and as_object(container).get("name") in (DRIVER, None):
                return ended
        return {}


class Status:
    """What a resource's `status` says."""

    def __init__(self, resource: Json) -> None:
        status = as_object(resource.get("status"))
        self.current = _state(status.get("currentState"))
        self._history = _states(status.get("stateTransitionHistory"))
        self._previous = _states(
            as_object(status.get("previousAttemptSummary")).get("stateTransitionHistory")
        )
        self._attempt = as_object(as_object(status.get("currentAttemptSummary")).get("attemptInfo"))

    @property
    def attempt(self) -> int:
        """Number, from 0, of the attempt that goes on, or comes next."""
        return self.count("id", 0)

    def count(self, name: str, missing: int) -> int:
        value = self._attempt.get(name)
        return value if isinstance(value, int) else missing

    def first_of_attempt(self, summaries: Iterable[str]) -> State | None:
        """The first state of these kinds since the last restart."""
        wanted = set(summaries)
        return next((state for state in self._of_attempt() if state.summary in wanted), None)

    def last_of_attempt(self, summaries: Iterable[str]) -> State | None:
        """The last state of these kinds since the last restart."""
        wanted = set(summaries)
        return next((state for state in reversed(self._of_attempt()) if state.summary in wanted), None)

    def last_of_all(self, summaries: Iterable[str]) -> State | None:
        """The last state of these kinds of this attempt and the one before; histories may be trimmed."""
        wanted = set(summaries)
        states = [*self._previous, *self._history]
        return next((state for state in reversed(states) if state.summary in wanted), None)

    def _of_attempt(self) -> Sequence[State]:
        restarts = [
            number for number, state in enumerate(self._history) if state.summary == "ScheduledToRestart"
        ]
        return self._history[restarts[-1] + 1 :] if restarts else self._history


def _states(history: object) -> list[State]:
    """By their numbers, which are texts as keys."""
    numbered = {int(key): value for key, value in as_object(history).items() if str(key).isdecimal()}
    return [_state(numbered[number]) for number in sorted(numbered)]


def _state(value: object) -> State:
    state = as_object(value)
    return State(
        summary=str(state.get("currentStateSummary") or ""),
        message=str(state.get("message") or ""),
        at=time_of(state.get("lastTransitionTime")),
        driver=as_object(state.get("lastObservedDriverStatus")),
    )
