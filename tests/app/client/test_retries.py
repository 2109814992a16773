"""What clients ask again, and what they never do."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.client.client import AsyncClient, Client
from app.client.problems import ProblemError
from app.client.retries import NEVER, Retries

pytestmark = pytest.mark.usefixtures("short_pauses")

Answer = Callable[[], httpx.Response]


def answer(status: int, **content: Any) -> Answer:
    """One that is made anew each time: its stream can be read once."""
    return lambda: httpx.Response(status, **content)


BUSY = answer(503, text="busy")
FINE = answer(200, json={"items": [], "next_cursor": None})


class Answers:
    """A transport that gives these answers in turn, and the last one from then on."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        following = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(following, Exception):
            raise following
        return following()

    def client(self, retries: Retries = Retries()) -> Client:  # noqa: B008 - a value
        return Client("http://service", transport=httpx.MockTransport(self), retries=retries)


def test_what_is_safe_is_asked_again_until_it_works() -> None:
    answers = Answers(BUSY, httpx.ConnectError("refused"), answer(429, text="slow down"), FINE)
    assert answers.client().applications()["items"] == []
    assert len(answers.asked) == 4


def test_a_submission_is_sent_again_with_the_same_key() -> None:
    answers = Answers(BUSY, httpx.ReadError("broken off"), FINE)
    client = answers.client()
    client.submit({})
    keys = {request.headers["Idempotency-Key"] for request in answers.asked}
    assert (len(answers.asked), len(keys)) == (3, 1)
    client.submit({})
    assert answers.asked[-1].headers["Idempotency-Key"] not in keys
    client.submit({}, idempotency_key="own")
    assert answers.asked[-1].headers["Idempotency-Key"] == "own"


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.start_training("KMeans"),
        lambda client: client.create_schedule({}),
        lambda client: client.create_token("somebody", "reader"),
        lambda client: client.report({}),
    ],
)
def test_what_might_happen_twice_is_sent_once(call: Callable[[Client], object]) -> None:
    answers = Answers(BUSY)
    with pytest.raises(ProblemError):
        call(answers.client())
    assert len(answers.asked) == 1


def test_a_refusal_is_final() -> None:
    answers = Answers(answer(409, text="no"))
    with pytest.raises(ProblemError):
        answers.client().kill("x")
    assert len(answers.asked) == 1


def test_it_gives_up_and_says_why() -> None:
    answers = Answers(BUSY)
    with pytest.raises(ProblemError, match="busy"):
        answers.client(Retries(attempts=3)).models()
    assert len(answers.asked) == 3
    answers = Answers(httpx.ConnectError("refused"))
    with pytest.raises(httpx.ConnectError):
        answers.client(NEVER).models()
    assert len(answers.asked) == 1


def test_a_pause_that_is_asked_for_is_made() -> None:
    answers = Answers(answer(503, headers={"retry-after": "1"}), FINE)
    begun = time.monotonic()
    answers.client().models()
    assert time.monotonic() - begun >= 1


def test_one_that_is_too_long_is_not() -> None:
    answers = Answers(answer(429, headers={"retry-after": "600"}), FINE)
    begun = time.monotonic()
    with pytest.raises(ProblemError) as problem:
        answers.client().models()
    assert time.monotonic() - begun < 1
    assert problem.value.retry_after_seconds == 600


async def test_the_one_for_asyncio_does_the_same() -> None:
    answers = Answers(BUSY, httpx.ConnectError("refused"), FINE)
    async with AsyncClient("http://service", transport=httpx.MockTransport(answers)) as client:
        assert (await client.applications())["items"] == []
    assert len(answers.asked) == 3


def test_another_patience_counts_for_one_of_two_clients_and_pauses_are_told() -> None:
    pauses: list[str] = []
    answers = Answers(BUSY, BUSY, FINE)
    client = answers.client(NEVER)
    patient = client.with_retries(Retries(before_pause=lambda: pauses.append("one")))
    assert patient.models()["items"] == []
    assert pauses == ["one", "one"]
    answers.answers = [BUSY]
    with pytest.raises(ProblemError):
        client.models()
    assert len(answers.asked) == 4
