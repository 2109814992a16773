"""Applications, their jobs, and decisions about their scale-out."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.console import facts, table
from app.cli.units import band, duration, executors, moment, number, share
from app.client.answers import Application, ApplicationDetails, Decision, DriverAttempt, JobSummary

_MET = {True: "met", False: "missed", None: "–"}


def applications_view(applications: Sequence[Application]) -> RenderableType:
    if not applications:
        return Text("No applications. `enel submit` starts one; fewer filters may show more.")
    columns = ("Id", "Algorithm", "State", "Target", "Runtime", "Target met", "Submitted", "By")
    rows = (
        (
            each["_id"],
            each["global_specs"]["algorithm_name"],
            each["state"],
            duration(each["global_specs"]["max_runtime"]),
            duration(each["runtime_seconds"]),
            _MET[each["target_met"]],
            moment(each["created_at"]),
            each["submitted_by"] or "–",
        )
        for each in applications
    )
    return table(columns, rows, right=("Target", "Runtime"))


def application_view(application: ApplicationDetails) -> RenderableType:
    parts: list[RenderableType] = [_facts(application)]
    parts += [Text(f"Note: {note}") for note in application.get("notes", [])]
    if hint := application.get("hint"):
        parts.append(Text(f"Hint: {hint}"))
    if len(attempts := application.get("attempts", [])) > 1:
        parts += [Text("\nAttempts of the driver", style="bold"), attempts_view(attempts)]
    if application["jobs"]:
        parts += [Text("\nJobs", style="bold"), jobs_view(application["jobs"])]
    if application["decisions"]:
        parts += [Text("\nDecisions", style="bold"), decisions_view(application["decisions"])]
    return Group(*parts)


def _facts(application: ApplicationDetails) -> RenderableType:
    specs = application["global_specs"]
    state = f"{application['state']} {application['state_reason']}".strip()
    return facts(
        (
            ("Id", application["_id"]),
            ("Name", application["name"] or ""),
            ("Algorithm", specs["algorithm_name"]),
            ("State", state),
            ("Target", f"{duration(specs['max_runtime'])} ({_MET[application['target_met']]})"),
            ("Runtime", duration(application["runtime_seconds"])),
            ("Started with", executors(application["initial_scale_out"])),
            ("Because", application["initial_scale_out_reason"]),
            ("Submitted", moment(application["created_at"])),
            ("By", application["submitted_by"] or ""),
            ("Schedule", application["schedule_name"] or ""),
            ("Spark's id", application["application_id"] or ""),
            ("Started", moment(application.get("first_start_time") or application["start_time"])),
            ("Ended", moment(application["end_time"])),
        )
    )


def attempts_view(attempts: Sequence[DriverAttempt]) -> RenderableType:
    columns = ("Spark's id", "Started", "Jobs", "Failed", "Last job ended", "Ended", "Stands")
    rows = (
        (
            attempt["application_id"],
            moment(attempt["start_time"]),
            str(attempt["jobs"]),
            str(attempt["failed_jobs"]),
            moment(attempt["last_job_at"]),
            moment(attempt.get("end_time")),
            attempt["state"].replace("_", " "),
        )
        for attempt in attempts
    )
    return table(columns, rows, right=("Jobs", "Failed"))


def jobs_view(jobs: Sequence[JobSummary]) -> RenderableType:
    columns = ("Job", "Runtime", "Executors", "Stages", "Ended")
    rows = (
        (
            str(job["job_id"]),
            duration(job["runtime_seconds"]),
            _change(job["start_scale_out"], job["end_scale_out"]),
            str(job["stages"]),
            moment(job["end_time"]),
        )
        for job in jobs
    )
    return table(columns, rows, right=("Job", "Runtime", "Stages"))


def decisions_view(decisions: Sequence[Decision]) -> RenderableType:
    if not decisions:
        return Text("No decisions. The first one is made when an application is submitted.")
    columns: tuple[str, ...] = (
        "After job",
        "At",
        "Left",
        "Executors",
        "Expected",
        "Chance",
        "Outcome",
        "Reason",
    )
    rows = [_decision(decision) for decision in decisions]
    drivers = [decision.get("application_id") or "" for decision in decisions]
    if len({driver for driver in drivers if driver}) > 1:
        columns = ("Driver", *columns)
        rows = [(driver, *row) for driver, row in zip(drivers, rows, strict=True)]
    return table(columns, rows, right=("After job", "At", "Left"))


def _decision(decision: Decision) -> tuple[str, ...]:
    chosen = next(
        (each for each in decision["candidates"] if each["scale_out"] == decision["chosen_scale_out"]), None
    )
    return (
        "start" if decision["job_id"] < 0 else str(decision["job_id"]),
        duration(decision["elapsed_seconds"]),
        duration(decision["budget_seconds"]),
        _change(decision["current_scale_out"], decision["chosen_scale_out"]),
        band(chosen["lower_seconds"], chosen["upper_seconds"]) if chosen else "–",
        share(chosen["probability"]) if chosen else "–",
        str(decision["outcome"].get("status") or "–").replace("_", " "),
        decision["reason"],
    )


def _change(before: int | None, after: int | None) -> str:
    if after is None or before == after:
        return number(before)
    return f"{number(before)} → {after}"
