"""How commands end: exit codes, and errors that say what to do."""

from enum import IntEnum

import httpx

from app.client.problems import ProblemError

_TRY_LATER = (502, 503, 504)

CLIENT_ERRORS = (ProblemError, httpx.TransportError)
"""What a client raises."""


class ExitCode(IntEnum):
    """As `docs/cli.md` has them; programs rely on these."""

    OK = 0
    REFUSED = 1
    """The service answered, and said no."""
    USAGE = 2
    """The command makes no sense as it was given, or the service cannot start with its settings."""
    UNREACHABLE = 3
    """No service answers, or it says that it cannot now."""
    MISSED = 4
    """What was waited for ended otherwise than it should."""
    UNSOUND = 5
    """`doctor` found something, or a cluster was not ready in time."""
    INTERRUPTED = 130


class CliError(Exception):
    """An end that the caller should be told about.

    Args:
        message: What is wrong, in a line.
        advice: What to do about it, in a line; empty where the first one says it.
    """

    def __init__(self, message: str, advice: str = "", code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message, self.advice, self.code = message, advice, code


def of_client(error: ProblemError | httpx.TransportError, url: str) -> CliError:
    """Any of `CLIENT_ERRORS`, of a service at this address."""
    return of_problem(error) if isinstance(error, ProblemError) else of_transport(error, url)


def of_problem(problem: ProblemError) -> CliError:
    """What the service answered, with what helps against the usual ones."""
    message = f"{problem.title}: {problem.detail}" if problem.detail else problem.title
    if problem.status in _TRY_LATER:
        after = f" in {problem.retry_after_seconds} s" if problem.retry_after_seconds else ""
        return CliError(message, f"Try again{after}; `enel doctor` says what is away.", ExitCode.UNREACHABLE)
    if problem.status < httpx.codes.BAD_REQUEST:
        return CliError(message, "Name an Enel Service: --url, ENEL_URL, or --profile.", ExitCode.UNREACHABLE)
    advice = {
        401: "Set ENEL_TOKEN, or a profile with a token (docs/cli.md).",
        403: "Use a token with a role that may; `enel tokens create` makes one.",
        412: "Submit the application a few times first: `enel submit`.",
    }.get(problem.status, "")
    return CliError(message, advice, ExitCode.REFUSED)


def of_transport(error: httpx.TransportError, url: str) -> CliError:
    """No answer at all."""
    reason = {
        httpx.ConnectTimeout: "nothing answers in time",
        httpx.ReadTimeout: "it does not answer in time",
        httpx.ConnectError: "no connection",
    }.get(type(error), type(error).__name__)
    return CliError(
        f"The service at {url} cannot be reached: {reason}.",
        "Start one with `enel serve`, or name one: --url, ENEL_URL, or --profile.",
        ExitCode.UNREACHABLE,
    )
