"""What is asked again, when, and how often: only what is safe to repeat, with growing, uneven pauses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from tenacity import AsyncRetrying, RetryCallState, Retrying
from tenacity.retry import retry_if_exception
from tenacity.stop import stop_after_attempt, stop_before_delay
from tenacity.wait import wait_exponential_jitter

from app.client.calls import Call
from app.client.problems import ProblemError

_BUSY = (429, 502, 503, 504)
"""Statuses after which the same request may succeed; 502 and 504 are a proxy's."""

_pause = wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.2)


@dataclass(frozen=True)
class Retries:
    """How patient a client is.

    Args:
        attempts: Of one request in all; 1: nothing is repeated.
        longest_seconds: For all of them with their pauses; a service that asks for a longer pause is not
            waited for.
        before_pause: Called before each pause, for whoever watches.
    """

    attempts: int = 4
    longest_seconds: float = 30.0
    before_pause: Callable[[], None] | None = None

    def plain(self, call: Call[Any]) -> Retrying:
        """Calls a function again where that is worth it; what it raised last is raised."""
        return Retrying(**self._options(call))

    def awaiting(self, call: Call[Any]) -> AsyncRetrying:
        """The same for coroutines."""
        return AsyncRetrying(**self._options(call))

    def _options(self, call: Call[Any]) -> dict[str, Any]:
        attempts = self.attempts if call.is_safe_to_repeat else 1
        return {
            "stop": stop_after_attempt(attempts) | stop_before_delay(self.longest_seconds),
            "wait": _wait_seconds,
            "retry": retry_if_exception(_is_worth_another),
            "reraise": True,
            "before_sleep": self._before_pause,
        }

    def _before_pause(self, _: RetryCallState) -> None:
        if self.before_pause is not None:
            self.before_pause()


NEVER = Retries(attempts=1)


def _is_worth_another(error: BaseException) -> bool:
    if isinstance(error, ProblemError):
        return error.status in _BUSY
    return isinstance(error, httpx.TransportError) and not isinstance(
        error, httpx.UnsupportedProtocol | httpx.LocalProtocolError | httpx.ReadTimeout
    )


def _wait_seconds(state: RetryCallState) -> float:
    """What the service asked for, and a little more, lest all clients come back in the same moment."""
    seconds = _pause(state)
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, ProblemError) else None
    return seconds if asked is None else asked + seconds
