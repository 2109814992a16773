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

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def _adopt_orphans() -> None:
    """On Linux, grandchildren whose parent ends become ours, so that they can still be found."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants(grace_seconds: float) -> None:
    """Ask every descendant of this process to end; after the grace period, make it."""
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        # What is asked to end may start or orphan something meanwhile: look again until none is left.
        for _ in range(10):
            descendants = psutil.Process().children(recursive=True)
            if not descendants:
                return
            for process in descendants:
                with contextlib.suppress(psutil.NoSuchProcess):
                    ask(process)
            _, alive = psutil.wait_procs(descendants, timeout=grace_seconds)
            if alive:
                break


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
    # A terminal's Ctrl-C goes to every process in the foreground group; the service decides the
    # order in which its children end, so they are moved out of that group.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def end_when_the_service_is_gone() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        end_descendants(arguments.grace)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(
        signal.SIGTERM, lambda *_: threading.Thread(target=end_descendants, args=[arguments.grace]).start()
    )
    threading.Thread(target=end_when_the_service_is_gone, daemon=True).start()
    code = child.wait()
    end_descendants(arguments.grace)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
