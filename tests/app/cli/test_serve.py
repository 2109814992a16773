"""`enel serve`: options in place of settings, and why it does not start."""

import gc
import socket
from pathlib import Path

import pytest

from app.cli.main import run


def test_an_option_that_is_wrong_names_its_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--port", "99999"]) == 2
    assert capsys.readouterr().err.startswith("Enel Service cannot start: PORT: ")
    assert gc.isenabled()


def test_a_port_in_use_costs_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run(["serve", "--port", port, "--data-dir", str(tmp_path / "data")]) == 2
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
