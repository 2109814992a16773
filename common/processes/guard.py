"""Run a command so that it cannot outlive the service (`python guard.py [--grace S] -- COMMAND …`).

Standard input is a pipe whose other end only the service holds: when it closes, because the
service closed it or died in whatever way, the command and everything it started is ended. That
covers `kill -9` of the service, which no handler inside the service could.

Standard library and psutil only: it starts once for every child, so it has to start fast.
"""

import argparse
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def _adopt_orphans() -> None:
    """On Linux, grandchildren whose parent ends become ours, so that they can still be found."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(command: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """End the command, then whatever it left.

    The command is asked first, alone: it may have an order in which its own children end. What
    still runs after the grace period, or was orphaned, is asked for two seconds and then killed.
    """
    if command.poll() is None:
        command.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.wait(grace_seconds)
    deadline = time.monotonic() + 2.0
    # What ends may start or orphan something meanwhile: look again until none is left.
    while descendants := psutil.Process().children(recursive=True):
        patient = time.monotonic() < deadline
        for process in descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate() if patient else process.kill()
        psutil.wait_procs(descendants, timeout=0.5)


def wait(command: subprocess.Popen[bytes]) -> int:
    """Wait for the command to end, and collect orphans that end meanwhile; returns its exit code."""
    if sys.platform == "linux":
        with contextlib.suppress(ChildProcessError):  # another thread has collected it
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)) and ended.si_pid != command.pid:
                os.waitpid(ended.si_pid, 0)
    return command.wait()


def main() -> int:
    own, separator, command = (
        (sys.argv[1 : sys.argv.index("--")], "--", sys.argv[sys.argv.index("--") + 1 :])
        if "--" in sys.argv
        else (sys.argv[1:], "", [])
    )
    parser = argparse.ArgumentParser(description="Run a command that ends when standard input closes.")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds between asking and killing")
    arguments = parser.parse_args(own)
    if not separator or not command:
        parser.error("a command is needed after --")

    _adopt_orphans()
    stop = threading.Event()
    # Before the command starts, lest a signal in between end only this process; and as functions,
    # because the command would inherit "ignore".
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # A terminal's Ctrl-C goes to every process in the foreground group; the service decides the
    # order in which its children end, so they are moved out of that group.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def wait_for_the_service_to_go() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        stop.set()

    def end_when_told() -> None:
        stop.wait()
        end(child, arguments.grace)

    threading.Thread(target=wait_for_the_service_to_go, daemon=True).start()
    ending = threading.Thread(target=end_when_told)
    ending.start()
    code = wait(child)
    stop.set()
    ending.join()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
