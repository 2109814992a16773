"""The script that the chart's MongoDB starts with, between programs that do as they are told."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.chart import CHART

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


@pytest.fixture
def start(tmp_path: Path) -> Callable[[str], subprocess.Popen[bytes]]:
    """Runs the script with a mongod that waits to be ended, and a mongosh that does as it is told."""
    programs = {
        "hostname": "echo mongodb-0.mongodb",
        "mongod": f'echo "$@" > {tmp_path}/mongod.txt; exec sleep 60',
        "mongosh": f'echo "$MONGODB_HOST" > {tmp_path}/host.txt; exec sh -c "$THEN"',
    }
    for name, then in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{then}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "keyfile").write_text("key")
    (tmp_path / "ready").touch()

    def run(then: str) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            **dict.fromkeys(("SCRATCH", "CREDENTIALS", "DATA"), str(tmp_path)),
        }
        script = CHART / "files" / "mongodb" / "start.sh"
        return subprocess.Popen(["bash", str(script)], env={**environment, "THEN": then})

    return run


def test_it_is_ready_once_it_was_set_up_and_ends_with_its_mongod(start: Any, tmp_path: Path) -> None:
    with start("test -e $SCRATCH/ready || exit 0; exit 1") as script:
        deadline = time.monotonic() + 20
        while not ((tmp_path / "ready").exists() and (tmp_path / "host.txt").exists()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        script.terminate()
        assert script.wait(20) == 128 + signal.SIGTERM, "what mongod ended with"
    assert (tmp_path / "host.txt").read_text() == "mongodb-0.mongodb:27017\n"
    key = tmp_path / "replica-set.key"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("key", 0o400)
    assert f"--keyFile {key}" in (tmp_path / "mongod.txt").read_text()


def test_it_ends_if_it_cannot_be_set_up(start: Any, tmp_path: Path) -> None:
    with start("exit 1") as script:
        assert script.wait(20) == 1
    assert not (tmp_path / "ready").exists()


def test_it_ends_with_a_mongod_that_ends_at_once_however_long_the_setup_would_wait(
    start: Any, tmp_path: Path
) -> None:
    (tmp_path / "mongod").write_text("#!/bin/sh\nexit 1\n")
    with start("exec sleep 600") as script:
        assert script.wait(60) == 1
    assert not (tmp_path / "ready").exists()


def test_it_can_be_ended_while_it_is_being_set_up(start: Any, tmp_path: Path) -> None:
    with start("exec sleep 600") as script:
        deadline = time.monotonic() + 20
        while not ((tmp_path / "host.txt").exists() and (tmp_path / "mongod.txt").exists()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        script.terminate()
        assert script.wait(60) == 1
    assert not (tmp_path / "ready").exists()
