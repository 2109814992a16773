"""Executors of an application, as Spark's standalone Worker logs them: alike for whoever asked for them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

_LAUNCHED = re.compile(r"^(?P<at>\S+) INFO Worker: Asked to launch executor (?P<app>app-\S+)/(?P<id>\d+) ")
_FINISHED = re.compile(
    r"^(?P<at>\S+) INFO Worker: Executor (?P<app>app-\S+)/(?P<id>\d+) finished with state "
)
_BACKEND = "org.apache.spark.executor.CoarseGrainedExecutorBackend"


@dataclass
class Executor:
    launched_at: float
    """Epoch seconds."""
    finished_at: float | None = None
    """None: it is not logged."""


def executors_of(application_id: str, log: Iterable[str]) -> dict[int, Executor]:
    """By their ids; times of the log are local ones."""
    found: dict[int, Executor] = {}
    for line in log:
        if (launched := _LAUNCHED.match(line)) and launched["app"] == application_id:
            found[int(launched["id"])] = Executor(_seconds(launched["at"]))
        elif (
            (finished := _FINISHED.match(line))
            and finished["app"] == application_id
            and (executor := found.get(int(finished["id"]))) is not None
        ):
            executor.finished_at = _seconds(finished["at"])
    return found


def executor_seconds(executors: Iterable[Executor], ended_at: float) -> float:
    """From the launch of each to its end, or that of the application where it came first."""
    return sum(
        max(0.0, min(ended_at, ended_at if each.finished_at is None else each.finished_at) - each.launched_at)
        for each in executors
    )


def read_log(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def kill_executor(service: int, application_id: str) -> int | None:
    """Kill one executor's JVM of an application, below the service's process; its id, None: there is none."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.Process(service).children(recursive=True):
        try:
            line = process.cmdline()
        except psutil.Error:  # it has ended meanwhile
            continue
        if _BACKEND in line and application_id in line:
            found[int(line[line.index("--executor-id") + 1])] = process
    for executor_id in sorted(found):
        try:
            found[executor_id].kill()
        except psutil.NoSuchProcess:
            continue
        return executor_id
    return None


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
