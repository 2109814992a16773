"""Forwarding by a kubectl that says where, and stays."""

import os
from pathlib import Path

import pytest

from app.cluster.failure import CannotBeDone
from app.cluster.kubectl import forwarded


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Says two addresses, then does what stands in `then`."""
    script = tmp_path / "kubectl"
    lines = "for host in [::1] 127.0.0.1; do echo Forwarding from $host:4000 '->' 5000; done"
    script.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\n{lines}\n. {tmp_path}/then\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_it_ends_with_whoever_asks(kubectl: Path) -> None:
    (kubectl / "then").write_text("exec sleep 60")
    forwarding = forwarded("enel", "service", 0, 5000)
    assert next(forwarding) == "http://127.0.0.1:4000"
    forwarding.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(int((kubectl / "pid").read_text()), 0)


def test_an_end_of_its_own_is_told(kubectl: Path) -> None:
    (kubectl / "then").write_text("exit 1")
    with pytest.raises(CannotBeDone, match="kubectl ended"):
        list(forwarded("enel", "service", 0, 5000))
