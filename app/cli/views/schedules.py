"""Recurring submissions."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.console import facts, table
from app.cli.units import duration, moment
from app.client.answers import Schedule


def schedules_view(schedules: Sequence[Schedule]) -> RenderableType:
    if not schedules:
        return Text("No schedules. `enel schedules create NAME FILE --cron '30 2 * * *'` makes one.")
    columns = ("Name", "Cron", "Time zone", "Paused", "Next due", "Last fired", "Last outcome")
    rows = (
        (
            each["name"],
            each["cron"],
            each["time_zone"],
            "yes" if each["paused"] else "no",
            "–" if each["paused"] else moment(each["next_fire_at"]),
            moment(each["last_fired_at"]),
            each["last_error"] or each["last_outcome"] or "–",
        )
        for each in schedules
    )
    return table(columns, rows)


def schedule_view(schedule: Schedule) -> RenderableType:
    specs = schedule["submission"]["global_specs"]
    deadline = schedule["starting_deadline_seconds"]
    head = facts(
        (
            ("Name", schedule["name"]),
            ("Algorithm", specs["algorithm_name"]),
            ("Target", duration(specs["max_runtime"])),
            ("Cron", f"{schedule['cron']} ({schedule['time_zone']})"),
            ("Paused", "yes" if schedule["paused"] else "no"),
            ("Recurs", schedule.get("recurs", "")),
            ("Next due", "" if schedule["paused"] else moment(schedule["next_fire_at"])),
            ("While one runs", schedule["concurrency_policy"]),
            ("At most late by", duration(deadline)),
            ("Fired", f"{schedule['fired']} times"),
            ("Last fired", moment(schedule["last_fired_at"])),
            ("Last outcome", schedule["last_outcome"]),
            ("Last error", schedule["last_error"] or ""),
            ("Runs now", ", ".join(schedule.get("active", ()))),
            ("Created by", schedule["created_by"] or ""),
        )
    )
    return Group(head, *(Text(f"Note: {warning}") for warning in schedule.get("warnings", ())))
