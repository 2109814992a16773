"""Runs of programs as the API shows them."""

from typing import Any

from pydantic import Field

from common.executions.documents import ApplicationExecution, ApplicationState
from common.mongo.document import UtcTime, utc_now
from common.wire.specs import ProgramSpec, WireModel
from routers.pagination import Hint, Unreadable
from submission.programs.documents import CurvePoint, ProgramRun
from submission.programs.tasks import model_of


class ProgramFile(WireModel):
    """A file that a program has left."""

    path: str
    size_bytes: int
    sha256: str


class ProgramRunView(WireModel):
    """One run of a program: its application, and what is heard of it."""

    id: str
    """The application execution id."""
    workspace: str
    program: ProgramSpec
    arguments: list[Any]
    state: ApplicationState
    state_reason: str
    created_at: UtcTime
    submitted_by: str | None
    start_time: UtcTime | None
    end_time: UtcTime | None
    runtime_seconds: float | None
    runtime_target_seconds: float
    target_met: bool | None
    model: str
    """In the registry; of which it makes a version."""
    version: int | None = None
    """What its output became; null: there is none (yet)."""
    publishing_detail: str = ""
    """What is wrong with its output, where something is."""
    snapshot_id: str | None
    environment_id: str | None
    parent_version: int | None = None
    progress: float | None = None
    """From 0 to 1, as the program says."""
    message: str = ""
    metrics: dict[str, float] = Field(default_factory=dict)
    """The latest figures that it reported."""
    data: list[str] = Field(default_factory=list)
    silent_seconds: float | None = None
    """For how long nothing was heard of a program that runs."""
    is_silent: bool = False
    """Whether that is longer than its limit."""
    exit_code: int | None = None
    end_reason: str = ""
    links: dict[str, str]

    @classmethod
    def of(cls, execution: ApplicationExecution, run: ProgramRun | None) -> "ProgramRunView":
        return cls(**_fields(execution, run))


class ProgramRunDetails(ProgramRunView):
    """With its curves, and what it has left."""

    curve: list[CurvePoint] = Field(default_factory=list)
    unreadable_lines: int = 0
    """Of ENEL_PROGRESS_FILE."""
    log_bytes: int = 0
    output: list[ProgramFile] = Field(default_factory=list)
    """Empty until all of it has come, and after PROGRAM_OUTPUT_KEEP_DAYS."""

    @classmethod
    def of(cls, execution: ApplicationExecution, run: ProgramRun | None) -> "ProgramRunDetails":
        fields = _fields(execution, run)
        if run is not None:
            fields |= run.model_dump(include={"curve", "unreadable_lines", "log_bytes"})
            fields["output"] = [file.model_dump() for file in run.files or []]
        return cls(**fields)


class ProgramRunPage(WireModel):
    items: list[ProgramRunView]
    next_cursor: str | None
    hint: Hint = None
    unreadable: Unreadable


def links_of(run_id: str) -> dict[str, str]:
    """Addresses of everything that there is about a run."""
    own, application = f"/training/program_runs/{run_id}", f"/submission/applications/{run_id}"
    return {
        "self": own,
        "result": f"{own}/result",
        "application": application,
        "logs": f"{application}/logs",
    }


def _fields(execution: ApplicationExecution, run: ProgramRun | None) -> dict[str, Any]:
    assert execution.program is not None, "only runs of programs are shown so"
    fields = {
        "id": execution.id,
        "workspace": execution.program.workspace,
        "program": execution.program,
        "arguments": execution.global_specs.algorithm_args,
        "runtime_seconds": execution.runtime_seconds,
        "runtime_target_seconds": execution.global_specs.max_runtime,
        "target_met": execution.target_met,
        "model": model_of(execution),
        "links": links_of(execution.id),
        **{
            name: getattr(execution, name)
            for name in (
                "state",
                "state_reason",
                "created_at",
                "submitted_by",
                "start_time",
                "end_time",
                "snapshot_id",
                "environment_id",
            )
        },
    }
    if run is None:
        return fields
    told = {
        "version",
        "publishing_detail",
        "parent_version",
        "progress",
        "message",
        "metrics",
        "data",
        "exit_code",
        "end_reason",
    }
    fields |= run.model_dump(include=told)
    if not execution.state.is_final and run.heard_at is not None:
        silent_seconds = run.silent_seconds + max(0.0, (utc_now() - run.heard_at).total_seconds())
        fields["silent_seconds"] = silent_seconds
        fields["is_silent"] = silent_seconds > execution.program.silence_limit_seconds
    return fields
