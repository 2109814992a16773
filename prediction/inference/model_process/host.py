"""Run one model (`python host.py CONNECTION LIFELINE`) and answer what its parent asks.

The parent is `child.py`; the Python is the model's own. Standard library alone.

    CONNECTION    descriptor of a socket. The parent sends what to run, {"kind": "python" | "onnx",
                  "folder": …, "file": …, "threads": n, "plan": {…}}; we say `ready` with what was found, or
                  `failed` with the reason; then there is an answer for each request, both frames
    LIFELINE      descriptor of a pipe's end: it closes when the parent ends, in whatever way
"""

import contextlib
import faulthandler
import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

# By its place: a model's Python knows nothing of the service.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from prediction.inference.model_process import frames, messages, python_model
from prediction.inference.model_process.frames import Answer

_LAST_LINES = 12

_NICENESS = 5
"""Who asks a model waits anyhow; who asks the service something small does not wait for models, too."""

_GROUP_NICENESS = 2
"""The same of a group, which weighs as one process however many there are in it: Spark's groups beside it are
many, and a model that came after all of them would starve."""


def main(connection: int, lifeline: int) -> None:
    """Load the model, say so, and answer until the parent closes the connection."""
    _end_with_parent(connection, lifeline)
    os.set_inheritable(connection, False)
    _give_way()
    faulthandler.enable()  # where a library crashes, the log's last lines say it
    with socket.socket(fileno=connection) as parent:
        _, to_run = messages.receive(parent) or (0, b"{}")
        config, own = json.loads(to_run), os.getpid()
        try:
            model = _loaded(config)
        except BaseException as error:
            traceback.print_exception(error)
            _end_copies(own)
            messages.send(parent, 0, _message({"event": "failed", "message": _reason(error)}))
            return
        _end_copies(own)
        found = {"kind": config["kind"], **model.found()}
        messages.send(parent, 0, _message({"event": "ready", "found": found}))
        while (request := messages.receive(parent)) is not None:
            number, frame = request
            rows = frames.decode_request(memoryview(frame))
            began = time.perf_counter()
            answers = model.answer(rows)
            _end_copies(own)
            messages.send(parent, number, _encoded(answers, time.perf_counter() - began))
        _end_descendants(own)


def _give_way() -> None:
    """Come after whoever needs little.

    Where Linux groups processes by session (`sched_autogroup_enabled`, on by default in many distributions),
    niceness counts within a session alone, and this process leads one of its own: what counts is that of the
    group (https://man7.org/linux/man-pages/man7/sched.7.html).
    """
    os.nice(_NICENESS)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):  # there are no groups
            Path("/proc/self/autogroup").write_text(str(_GROUP_NICENESS))


def _loaded(config: dict[str, Any]) -> Any:
    folder = Path(config["folder"])
    os.chdir(folder)
    if config["kind"] == "python":
        _hide_ourselves()
        return python_model.PythonModel(folder, config["file"])
    if config["kind"] == "onnx":
        # Here, because a Python of a model's own need not have what it imports.
        from prediction.inference.model_process.onnx_model import OnnxModel

        return OnnxModel(folder / config["file"], config["threads"], config["plan"])
    raise ValueError(f"{config['kind']!r} is no kind of model")


def _end_copies(own: int) -> None:
    """A copy that a model has forked ends where the model returns: it would answer, too."""
    if os.getpid() != own:
        sys.stdout.flush()
        os._exit(0)


def _hide_ourselves() -> None:
    """A model's own `prediction`, or `words`, is not the service's; what we need of that is imported."""
    here = Path(__file__).resolve()
    ours = (str(here.parents[3]), str(here.parent))
    sys.path[:] = [path for path in sys.path if path not in ours]
    for name in [name for name in sys.modules if name.partition(".")[0] == "prediction"]:
        del sys.modules[name]


def _reason(error: BaseException) -> str:
    lines = "".join(traceback.format_exception(error)).strip().splitlines()
    where = "\n".join(lines[-_LAST_LINES:])
    return f"{python_model.described(error)}\n{where}"


def _encoded(answers: list[Answer], compute_seconds: float) -> bytes:
    try:
        return frames.encode_answers(answers, compute_seconds)
    except (TypeError, ValueError, RecursionError):
        return frames.encode_answers([_sendable(answer) for answer in answers], compute_seconds)


def _sendable(answer: Answer) -> Answer:
    try:
        frames.encode_answers([answer], 0.0)
    except (TypeError, ValueError, RecursionError) as error:
        return Answer(error=f"The answer cannot be sent: {error}.")
    return answer


def _message(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _end_with_parent(connection: int, lifeline: int) -> None:
    """Leave behind a process that waits for the parent's end, and then ends this one and all it started.

    A thread could not do it while a library computes without letting go of the interpreter; and a signal of
    the kernel's would not reach what the model has started.
    """
    if pid := os.fork():
        os.waitpid(pid, 0)
        os.close(lifeline)
        return
    if os.fork():
        os._exit(0)
    try:
        os.close(connection)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        with contextlib.suppress(OSError):
            while os.read(lifeline, 1):
                pass
        _end_descendants(os.getpgrp())  # whose leader the model's process is
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(0)


def _end_descendants(pid: int) -> None:
    """Kill what a process has started: what has left its group is found only while it lives."""
    children: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):  # there is no /proc
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    children.setdefault(parent, []).append(int(entry.name))
    waiting = [pid]
    while waiting:
        for child in children.pop(waiting.pop(), []):
            waiting.append(child)
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # threads that a model has left do not keep it
