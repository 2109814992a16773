"""Exit codes of the child processes of trainings."""

import subprocess
import sys

import pytest

CHILD = """
import os, signal, sys
from common.processes.child import run_child

def work(folder, emit):
    try:
        {do}
    except BaseException as error:
        {then}

sys.exit(run_child(["folder"], work))
"""

TERMINATE = "os.kill(os.getpid(), signal.SIGTERM)"


@pytest.mark.parametrize(
    ("do", "then", "code", "events"),
    [
        ("pass", "raise", 0, 0),
        ("raise ValueError('no')", "raise", 1, 1),
        (TERMINATE, "raise", 143, 0),
        (TERMINATE, "raise RuntimeError('what a library makes of it') from error", 143, 0),
        (TERMINATE, "raise SystemExit(1) from error", 143, 0),
        (TERMINATE, "pass", 143, 0),
        (TERMINATE, "emit({'event': 'error'}); os._exit(7)", 143, 0),
        ("raise SystemExit(3)", "raise", 3, 0),
        (f"{TERMINATE}", f"{TERMINATE}; raise", 143, 0),
    ],
    ids=[
        "done",
        "failed",
        "terminated",
        "terminated inside a library",
        "terminated inside a library that exits",
        "terminated, and nobody heard",
        "terminated, and nobody heard until it went on",
        "exits",
        "terminated twice",
    ],
)
def test_exit_codes(do: str, then: str, code: int, events: int) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD.format(do=do, then=then)], capture_output=True, text=True, timeout=60
    )
    assert (child.returncode, child.stdout.count('"event": "error"')) == (code, events), child.stderr
