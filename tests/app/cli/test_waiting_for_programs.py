"""Waiting for programs and pipelines over a service that goes away and comes back."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.cli.commands.waiting import Unseen, wait_for_pipeline, wait_for_program
from app.cli.exits import CliError, ExitCode
from app.client.client import Client

pytestmark = pytest.mark.usefixtures("short_pauses")

URL = "http://127.0.0.1:1"


class Cut(httpx.SyncByteStream):
    """Lines of a log, and then nothing more: of a service that has ended."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines

    def __iter__(self) -> Iterator[bytes]:
        yield from (_event(line) for line in self._lines)
        raise httpx.ReadError("gone")


def _event(line: str) -> bytes:
    return f"event: log\ndata: {line}\n\n".encode()


def log(*lines: str) -> httpx.Response:
    content = b"".join(map(_event, lines)) + b"event: end\ndata: over\n\n"
    return httpx.Response(200, content=content, headers={"Content-Type": "text/event-stream"})


def run(state: str, **fields: Any) -> httpx.Response:
    found = {"id": "r", "state": state, "program": {"output": "version"}, "version": None}
    return httpx.Response(200, json={**found, "publishing_detail": "", **fields})


def client(*answers: httpx.Response | Exception) -> Client:
    """Of a service that answers so, in turn; the last answer stays."""
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return Client(URL, transport=httpx.MockTransport(answer))


AWAY = httpx.ConnectError("refused")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_log_goes_on_where_the_service_was_away(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    cut = httpx.Response(200, stream=Cut("one", "two", "two"))
    again = log("one", "two", "two", "x" * 300)
    answers = [cut, AWAY, AWAY, run("RUNNING"), again, run("COMPLETED"), run("COMPLETED")]
    waiting = client(*answers, run("COMPLETED", version=3))
    assert wait_for_program(waiting, "r", as_json=as_json)["version"] == 3
    out, err = capsys.readouterr()
    lines = ["one", "two", "two", "x" * 300]
    told = err.splitlines()
    assert told[0] == "Waiting for r. Follow it elsewhere: enel programs show r"
    assert out.splitlines() == ([] if as_json else lines)
    away = "The service does not answer; trying again for up to 2 min 0 s."
    assert told[1:] == ([*lines[:3], away, lines[3]] if as_json else [away])


def test_a_log_that_ends_with_its_service_is_read_again_until_the_run_has_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    waiting = client(log("a"), run("RUNNING"), log("a", "b"), run("KILLED"))
    assert wait_for_program(waiting, "r", as_json=False)["state"] == "KILLED"
    assert capsys.readouterr().out == "a\nb\n"


def test_a_pipeline_is_followed_over_an_outage(capsys: pytest.CaptureFixture[str]) -> None:
    def pipeline(state: str) -> httpx.Response:
        return httpx.Response(200, json={"id": "p", "state": state, "steps": [{"name": "a", "state": state}]})

    waiting = client(pipeline("RUNNING"), AWAY, AWAY, AWAY, AWAY, AWAY, pipeline("SUCCEEDED"))
    assert wait_for_pipeline(waiting, "p")["state"] == "SUCCEEDED"
    out, err = capsys.readouterr()
    assert out == ""
    assert [line for line in err.splitlines() if line.strip()] == [
        "Waiting for p. Follow it elsewhere: enel pipelines show p",
        "The service does not answer; trying again for up to 2 min 0 s.",
    ]


@pytest.mark.parametrize(
    ("wait", "look"),
    [
        (lambda to: wait_for_program(to, "r", as_json=True, patience_seconds=0.3), "enel programs show r"),
        (lambda to: wait_for_pipeline(to, "r", patience_seconds=0.3), "enel pipelines show r"),
    ],
)
def test_a_service_that_stays_away_is_given_up(wait: Callable[[Client], object], look: str) -> None:
    with pytest.raises(CliError, match="r goes on without this command") as given_up:
        wait(client(AWAY))
    assert given_up.value.code is ExitCode.UNREACHABLE
    assert given_up.value.advice.endswith(look)


@pytest.mark.parametrize(
    ("known", "again", "new"),
    [
        ("abc", "abcd", "d"),
        ("abc", "bcde", "de"),
        ("abab", "abababc", "abc"),
        ("abc", "xyz", "xyz"),
        ("abc", "abx", "abx"),
        ("", "ab", "ab"),
        ("aaa", "aaab", "b"),
        ("abab", "ababab", "ab"),
    ],
)
def test_lines_of_a_log_come_once(known: str, again: str, new: str) -> None:
    unseen = Unseen(known)
    assert "".join([each for line in again for each in unseen.of(line)] + unseen.rest()) == new
