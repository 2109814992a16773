"""Recorded runs as they are kept: a file per application, a JSON document per line, compressed.

A document has the parts of `POST /training/import`, which are the reports of the plugin in the wire format
(CONTRACT.md), and what was done to the run. See benchmarks/data/real_runs/README.md.
"""

import gzip
import json
import math
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from getpass import getuser
from pathlib import Path
from typing import Any

from benchmarks.real.plan import Disturbance, PlannedRun
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.merging import application_fields, new_job
from common.settings.group import PROJECT_ROOT
from common.wire.events import ApplicationEnded, ApplicationStarted, JobEnded
from training.history.from_documents import to_run_record
from training.history.values import RunRecord

Json = dict[str, Any]

SPECS = ("global_specs", "optional_specs", "master_specs", "worker_specs")
"""What of a submission says about a run; templates name places of a machine."""

_DIGITS = 9
"""Of ratios, after the decimal point: hundreds of times finer than they are measured."""

_PACKAGES = re.compile(r"(?:/[^\s/:]+)+/site-packages/")
_PATH = re.compile(r"(?<![\w.:/])/(?:[\w.@+-]+/)+[\w.@+-]+")


class NotAnonymous(ValueError):
    """A recording would say where, or by whom, it was made."""


@dataclass(frozen=True)
class Recording:
    """One run."""

    planned: PlannedRun
    submission: Json
    started: Json
    """`updates` of APPLICATION_START."""
    jobs: Sequence[Json]
    """`updates` of a JOB_END each."""
    ended: Json
    """`outcome`, `end_time` by the driver's APPLICATION_END, and its `ended_jobs`."""
    runtime_seconds: float
    """From the driver's start to its end."""
    executor_seconds: float
    """Integral of the executors that the Worker ran, from the launch of each to its end or the run's."""
    injected: Json
    """What was done, in seconds since the driver's start; see the README of the recordings."""

    def document(self) -> Json:
        """JSON values without a place of this machine.

        Raises:
            NotAnonymous: Something is left that says where it comes from.
        """
        values = asdict(self) | {"jobs": list(self.jobs)}
        cleaned: Json = _rounded(_relative(values))
        check_anonymous(cleaned)
        return cleaned

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Recording":
        planned = dict(document["planned"])
        planned["disturbance"] = Disturbance(planned["disturbance"])
        names = ("submission", "started", "jobs", "ended", "runtime_seconds", "executor_seconds", "injected")
        return cls(PlannedRun(**planned), **{name: document[name] for name in names})

    @property
    def piece(self) -> Json:
        """Body of `POST /training/import`."""
        return {
            "specs": self.submission,
            "started": self.started,
            "jobs": list(self.jobs),
            "ended": self.ended,
        }

    def record(self) -> RunRecord:
        """The run as the model sees it, by the code that reads the service's own documents."""
        started = ApplicationStarted.model_validate(self.started)
        given = {"application_id": started.application_id}
        execution = ApplicationExecution(
            _id=str(self.planned.number),
            **self.submission,
            created_at=started.start_time,
            state=ApplicationState.COMPLETED,
            **application_fields(started),
            end_time=ApplicationEnded.model_validate(given | {"end_time": self.ended["end_time"]}).end_time,
        )
        jobs = [JobEnded.model_validate(given | job) for job in self.jobs]
        return to_run_record(execution, [new_job(job, execution, None) for job in jobs])


def check_anonymous(document: Json) -> None:
    """Raises NotAnonymous where a document has a path, a host's name or a user's name."""
    text = json.dumps(document, ensure_ascii=False)
    for path in _PATH.findall(text):
        raise NotAnonymous(f"it has the path {path}")
    for word in {socket.gethostname(), getuser()} - {"root"}:
        if len(word) > 2 and re.search(rf"\b{re.escape(word)}\b", text):
            raise NotAnonymous(f"it has the name {word}")


def _relative(value: Any) -> Any:
    """Places inside this project, and inside packages, without where those lie."""
    if isinstance(value, dict):
        return {
            key: _briefly(each) if key == "failure_reason" and each else _relative(each)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_relative(each) for each in value]
    if not isinstance(value, str):
        return value
    for root in {str(PROJECT_ROOT), str(PROJECT_ROOT.resolve())}:
        value = value.replace(f"{root}/", "")
    return _PACKAGES.sub("", value)


def _briefly(reason: str) -> str:
    """Why a stage failed, without its stack and the folders of files: models ask whether it did."""
    return _PATH.sub(lambda path: path[0].rpartition("/")[2], reason.splitlines()[0])


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if isinstance(value, float) and math.isfinite(value):
        return round(value, _DIGITS)
    return value


# --- files ------------------------------------------------------------------------------------------


class Store:
    """A folder of documents by application; each is there as a whole, or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, application: str, document: Json) -> None:
        """Write it to the disk before this returns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(application)
        lines = [json.dumps(each, separators=(",", ":")) for each in self.documents(application)]
        lines.append(json.dumps(document, separators=(",", ":")))
        written = path.with_suffix(".tmp")
        # Without a time in it, and compressed as a whole: the same runs are the same file.
        content = gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)
        with written.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)

    def documents(self, application: str) -> Iterator[Json]:
        path = self._path(application)
        if path.is_file():
            with gzip.open(path, "rt", encoding="utf-8") as file:
                yield from [json.loads(line) for line in file]

    def applications(self) -> list[str]:
        return sorted(path.name.removesuffix(".jsonl.gz") for path in self.folder.glob("*.jsonl.gz"))

    def _path(self, application: str) -> Path:
        return self.folder / f"{application}.jsonl.gz"


def recordings(store: Store, application: str) -> list[Recording]:
    """In the order of their numbers."""
    found = [Recording.of(document) for document in store.documents(application)]
    return sorted(found, key=lambda recording: recording.planned.number)


def missing(planned: Sequence[PlannedRun], store: Store) -> list[PlannedRun]:
    """Runs of a plan that are not recorded yet.

    Raises:
        SystemExit: One is recorded that the plan has otherwise: it is of another seed.
    """
    known = {
        (each.planned.application, each.planned.number): each.planned
        for name in {run.application for run in planned}
        for each in recordings(store, name)
    }
    for run in planned:
        other = known.get((run.application, run.number))
        if other is not None and other != run:
            raise SystemExit(f"{store.folder} has other runs of {run.application}: another seed made them.")
    return [run for run in planned if (run.application, run.number) not in known]
