"""Waiting for what goes on in a real service, also while it does not answer."""

from collections.abc import Callable

import httpx
import pytest

from app.cli.commands.waiting import wait_for_application, wait_for_training
from app.cli.exits import CliError, ExitCode
from app.client.client import Client
from app.client.problems import ProblemError
from tests.support.command_line import LEARNED

pytestmark = pytest.mark.usefixtures("short_pauses")


class Away(httpx.HTTPTransport):
    """A way to the service that is cut for some requests, counted from the first."""

    def __init__(self, *cut: int) -> None:
        super().__init__()
        self.cut, self.requests = cut, 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self.requests in self.cut:
            raise httpx.ConnectError("refused", request=request)
        return super().handle_request(request)


ALWAYS = range(1, 10_000)

Wait = Callable[[Client, str, float], object]


def on_application(client: Client, execution_id: str, patience_seconds: float) -> object:
    return wait_for_application(client, execution_id, as_json=True, patience_seconds=patience_seconds)


def on_training(client: Client, training_id: str, patience_seconds: float) -> object:
    return wait_for_training(client, training_id, patience_seconds=patience_seconds)


def an_application(client: Client) -> str:
    return next(client.iterate_applications(algorithm_name=LEARNED))["_id"]


def a_training(client: Client) -> str:
    training_id = client.start_training(LEARNED)["id"]
    client.cancel_training(training_id)
    return training_id


both = pytest.mark.parametrize(
    ("make", "wait", "look"),
    [
        (an_application, on_application, "enel applications show"),
        (a_training, on_training, "enel trainings show"),
    ],
)


def test_a_training_is_followed_to_its_end(service_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Client(service_url) as client:
        training_id = a_training(client)
        ended = wait_for_training(client, training_id)
        assert ended["state"] == "CANCELLED"
        assert list(client.follow_training_log(training_id))[-1].count("cancelled")
    assert capsys.readouterr().out == ""


@both
def test_a_service_that_comes_back_is_waited_for(
    service_url: str,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Client], str],
    wait: Wait,
    look: str,
) -> None:
    with Client(service_url) as client:
        waited_for = make(client)
    with Client(service_url, transport=Away(*range(1, 6))) as client:  # more often than clients try
        wait(client, waited_for, 60.0)
    first, *others = capsys.readouterr().err.strip().splitlines()
    assert f"{look} {waited_for}" in first
    assert [line for line in others if line.strip()] == [
        "The service does not answer; trying again for up to 60 s."
    ]


@both
def test_one_that_stays_away_is_given_up_and_the_id_is_said(
    service_url: str,
    make: Callable[[Client], str],
    wait: Wait,
    look: str,
) -> None:
    with Client(service_url) as client:
        waited_for = make(client)
    with (
        Client(service_url, transport=Away(*ALWAYS)) as client,
        pytest.raises(CliError, match="goes on") as given_up,
    ):
        wait(client, waited_for, 0.5)
    assert given_up.value.code is ExitCode.UNREACHABLE
    assert given_up.value.message.startswith(
        f"The service at {service_url} cannot be reached: no connection."
    )
    assert given_up.value.advice.endswith(f"{look} {waited_for}")


def test_a_refusal_is_not_taken_for_an_outage(service_url: str) -> None:
    with Client(service_url) as client, pytest.raises(ProblemError, match="404"):
        on_application(client, "0" * 24, 60.0)
