"""Runs of programs and pipelines."""

from collections.abc import Sequence
from typing import cast

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.console import facts, table
from app.cli.units import duration, moment, share, size
from app.client.answers import PipelineRun, ProgramRun, ProgramRunDetails


def program_runs_view(runs: Sequence[ProgramRun]) -> RenderableType:
    if not runs:
        return Text("No runs. `enel programs run WORKSPACE` starts one.")
    columns = ("Run", "File", "State", "Progress", "Runtime", "Target", "Version", "Started")
    rows = (
        (
            each["id"],
            each["program"]["file"],
            each["state"],
            share(each["progress"]),
            duration(each["runtime_seconds"]),
            duration(each["runtime_target_seconds"]),
            str(each["version"] or "–"),
            moment(each["created_at"]),
        )
        for each in runs
    )
    return table(columns, rows, right=("Progress", "Runtime", "Target", "Version"))


def program_run_view(run: ProgramRun | ProgramRunDetails) -> RenderableType:
    state = f"{run['state']}: {run['state_reason']}" if run["state_reason"] else run["state"]
    silent = f"for {duration(run['silent_seconds'])}" if run["is_silent"] else ""
    figures = ", ".join(f"{name} {value:g}" for name, value in run["metrics"].items())
    shown = facts(
        (
            ("Run", run["id"]),
            ("Workspace", run["workspace"]),
            ("Program", f"{run['program']['folder']}/{run['program']['file']}"),
            ("Arguments", " ".join(map(str, run["arguments"]))),
            ("State", state),
            ("Silent", silent),
            ("Progress", f"{share(run['progress'])} {run['message']}".strip()),
            ("Figures", figures),
            ("Runtime", f"{duration(run['runtime_seconds'])} of {duration(run['runtime_target_seconds'])}"),
            ("Model", run["model"]),
            ("Version", str(run["version"] or "")),
            ("Ended with", run["end_reason"] or (str(run["exit_code"]) if run["exit_code"] else "")),
            ("Output", run["publishing_detail"]),
            ("Snapshot", run["snapshot_id"] or ""),
            ("Environment", run["environment_id"] or ""),
        )
    )
    files = cast(ProgramRunDetails, run).get("output")
    if not files:
        return shown
    rows = ((file["path"], size(file["size_bytes"]), file["sha256"][:12]) for file in files)
    return Group(shown, table(("File", "Size", "SHA-256"), rows, right=("Size",)))


def pipeline_runs_view(runs: Sequence[PipelineRun]) -> RenderableType:
    if not runs:
        return Text("No runs. `enel pipelines run WORKSPACE` starts one.")
    columns = ("Run", "File", "State", "Steps", "Started")
    rows = (
        (
            each["id"],
            each["file"],
            each["state"],
            ", ".join(f"{step['name']} {step['state'].lower()}" for step in each["steps"]),
            moment(each["created_at"]),
        )
        for each in runs
    )
    return table(columns, rows)


def pipeline_run_view(run: PipelineRun) -> RenderableType:
    shown = facts(
        (
            ("Run", run["id"]),
            ("Workspace", run["workspace"]),
            ("File", f"{run['folder']}/{run['file']}"),
            ("State", run["state"]),
            ("Result of", run["result_step"]),
            ("Started", moment(run["created_at"])),
            ("Ended", moment(run["ended_at"])),
        )
    )
    rows = (
        (step["name"], step["state"], step["application_execution_id"] or "–", step["reason"])
        for step in run["steps"]
    )
    return Group(shown, table(("Step", "State", "Run", "Why"), rows))
