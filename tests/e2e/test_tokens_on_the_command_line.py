"""Tokens from their making to their end, by `enel`, in a service that wants them."""

import json
from pathlib import Path

import pytest

from app.cli.main import run
from app.client.process import running_service

pytestmark = pytest.mark.service

ADMIN = "0123456789abcdef0123456789abcdef"


def test_a_token_is_made_used_and_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_service(tmp_path / "service", ADMIN_TOKEN=ADMIN) as service:

        def enel(token: str, *arguments: str) -> tuple[int, str, str]:
            monkeypatch.setenv("ENEL_TOKEN", token)
            capsys.readouterr()
            return int(run(["--url", service.url, *arguments])), *capsys.readouterr()

        code, out, _ = enel(ADMIN, "tokens", "create", "ci", "--role", "submitter", "--json")
        assert code == 0
        made = json.loads(out)
        assert enel(made["token"], "applications", "list")[0] == 0
        code, _, err = enel(made["token"], "tokens", "list")
        assert code == 1
        assert "enel tokens create" in err
        code, out, _ = enel(ADMIN, "tokens", "list")
        assert made["id"] in out
        assert made["token"] not in out
        assert enel(ADMIN, "tokens", "revoke", made["id"])[0] == 0
        code, _, err = enel(made["token"], "applications", "list")
        assert code == 1
        assert "Set ENEL_TOKEN" in err
        assert enel("", "applications", "list")[0] == 1
