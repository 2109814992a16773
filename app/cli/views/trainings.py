"""Trainings, and what came of them."""

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from app.cli.console import facts, table
from app.cli.units import moment, share
from app.client.answers import Training


def trainings_view(trainings: Sequence[Training]) -> RenderableType:
    if not trainings:
        return Text("No trainings. `enel train ALGORITHM` starts one, once it was run a few times.")
    columns = ("Id", "Algorithm", "State", "Trials", "Best error", "Version", "Started", "By")
    rows = (
        (
            each["id"],
            each["algorithm_name"],
            each["state"],
            f"{each['trials_done']}/{each['trials_total']}",
            share(each["best_loss"]),
            str((each["result"] or {}).get("version") or "–"),
            moment(each["started_at"]),
            each["requested_by"] or each["trigger"],
        )
        for each in trainings
    )
    return table(columns, rows, right=("Trials", "Best error", "Version"))


def training_view(training: Training) -> RenderableType:
    result = training["result"] or {}
    runs, jobs = training["history_runs"], training["history_jobs"]
    return facts(
        (
            ("Id", training["id"]),
            ("Algorithm", training["algorithm_name"]),
            ("State", f"{training['state']} {training['detail']}".strip()),
            ("Trials", f"{training['trials_done']} of {training['trials_total']}"),
            ("Best error", share(training["best_loss"])),
            ("History", f"{runs} runs, {jobs} jobs" if runs is not None else ""),
            ("Started", moment(training["started_at"])),
            ("Finished", moment(training["finished_at"])),
            ("Model", str(result.get("model") or "")),
            ("Version", str(result.get("version") or "")),
            ("Serves", _promotion(result.get("promotion"))),
        )
    )


def _promotion(promotion: dict[str, Any] | None) -> str:
    if promotion is None:
        return ""
    return f"{'yes' if promotion['promoted'] else 'no'}: {promotion['reason']}"
