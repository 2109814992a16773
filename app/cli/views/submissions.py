"""What a submission led to, or would, and what a scale-out is expected to bring."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.console import facts, table
from app.cli.units import band, duration, executor_hours, executors, share
from app.client.answers import Submission


def submission_view(answer: Submission, is_dry_run: bool) -> RenderableType:
    entry = answer["db_entry"]
    verdict = answer["k8s_api_response"]
    head = facts(
        (
            ("Dry run", "nothing is stored or started" if is_dry_run else ""),
            ("Id", "" if is_dry_run else entry["_id"]),
            ("State", "" if is_dry_run else entry["state"]),
            ("Starts with", executors(entry["initial_scale_out"])),
            ("Because", entry["initial_scale_out_reason"]),
        )
    )
    lines: list[RenderableType] = [head]
    lines += [Text(f"Note: {warning}") for warning in verdict.get("warnings") or ()]
    if is_dry_run and (prediction := answer["prediction"]) and prediction.get("candidates"):
        lines.append(candidates_view(prediction))
    if not is_dry_run:
        lines.append(Text(f"Follow it: enel applications show {entry['_id']}"))
    return Group(*lines)


def first_choice_view(choice: Mapping[str, Any]) -> RenderableType:
    """What a submission would start with, and what else there is to choose from."""
    nearest = choice.get("nearest_feasible_target_seconds")
    head = facts(
        (
            ("Start with", executors(choice["scale_out"])),
            ("Because", choice["reason"]),
            ("Target", duration(choice["target_seconds"])),
            ("Nearest target that is safe", duration(nearest)),
            ("Learned from", f"{choice['runs']} runs" if choice.get("runs") else ""),
        )
    )
    notes = [Text(f"Note: {warning}") for warning in choice.get("warnings") or ()]
    if not choice.get("candidates"):
        nothing = Text("Nothing can be predicted yet: run it three times, then `enel train`.")
        return Group(head, *notes, nothing)
    return Group(head, *notes, candidates_view(choice))


def candidates_view(choice: Mapping[str, Any]) -> RenderableType:
    """A line for each scale-out; the chosen one is marked."""
    columns = ("", "Executors", "Runtime", "In 9 of 10 runs", "Meets target", "Executor-hours")
    rows = (
        (
            "→" if each["scale_out"] == choice["scale_out"] else "",
            str(each["scale_out"]),
            duration(each["remaining_seconds"]),
            band(each.get("lower_seconds"), each.get("upper_seconds")),
            share(each.get("probability")),
            executor_hours(each["executor_seconds"]),
        )
        for each in choice.get("candidates") or ()
    )
    return table(columns, rows, right=("Executors", "Runtime", "Meets target", "Executor-hours"))
