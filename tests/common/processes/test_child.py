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
        (f"{TERMINATE}", f"{TERMINATE}; raise", 143, 0),
    ],
    ids=["done", "failed", "terminated", "terminated inside a library", "terminated twice"],
)
def test_exit_codes(do: str, then: str, code: int, events: int) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD.format(do=do, then=then)], capture_output=True, text=True, timeout=60
    )
    assert (child.returncode, child.stdout.count('"event": "error"')) == (code, events), child.stderr
