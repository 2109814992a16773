"""`enel tokens`, against answers as the service gives them."""

import json
from typing import Any

import httpx
import pytest

from app.cli.main import run
from app.cli.session import Session
from app.client.client import Client

TOKEN = {
    "id": "abc",
    "name": "ci",
    "role": "submitter",
    "created_at": "2026-11-28T14:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    """Method, path and body of what was asked."""
    requests: list[tuple[str, str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        requests.append((request.method, request.url.path, body))
        if request.method == "POST":
            return httpx.Response(201, json={**TOKEN, "token": "enel_abc_secret"})
        if request.url.path == "/access/tokens":
            return httpx.Response(200, json={"items": [TOKEN], "next_cursor": None})
        return httpx.Response(200, json=TOKEN)

    def client(*_: Any, **__: Any) -> Client:
        return Client("http://service", transport=httpx.MockTransport(answer))

    monkeypatch.setattr(Session, "client", client)
    return requests


def test_a_token_is_shown_once(asked: list[tuple[str, str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tokens", "create", "ci", "--role", "submitter", "--expires-at", "2027-01-01"]) == 0
    assert "enel_abc_secret" in capsys.readouterr().out
    body = {"name": "ci", "role": "submitter", "expires_at": "2027-01-01"}
    assert asked == [("POST", "/access/tokens", body)]
    assert run(["tokens", "list"]) == 0
    shown = capsys.readouterr().out
    assert "ci" in shown
    assert "secret" not in shown
    assert run(["tokens", "revoke", "abc"]) == 0
    assert asked[-1] == ("DELETE", "/access/tokens/abc", None)
