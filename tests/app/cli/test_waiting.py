"""Waiting for a training, in a real service."""

import pytest

from app.cli.commands.waiting import wait_for_training
from app.client.client import Client
from tests.support.command_line import LEARNED


def test_a_training_is_followed_to_its_end(service_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Client(service_url) as client:
        started = client.start_training(LEARNED)
        client.cancel_training(started["id"])
        ended = wait_for_training(client, started["id"])
        assert ended["state"] == "CANCELLED"
        assert list(client.follow_training_log(started["id"]))[-1].count("cancelled")
    assert capsys.readouterr().out == ""
