"""Models that answer, and what they have answered."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.console import facts, table
from app.cli.units import moment, share
from app.client.serving_answers import JudgedPrediction, Prediction, ServedModel, ServedModelDetails


def served_models_view(models: Sequence[ServedModel]) -> RenderableType:
    if not models:
        return Text("No models are served. `enel serving start MODEL` serves one; so does asking it.")
    columns = ("Model", "Version", "State", "Loaded here", "Replicas", "Notes")
    rows = (
        (
            each["model"],
            str(each["options"]["version"]),
            each["state"],
            ", ".join(f"{loaded['version']} ({loaded['role']})" for loaded in each["loaded"]) or "–",
            str(each["options"]["replicas"]),
            "; ".join(each["notes"]) or "–",
        )
        for each in models
    )
    return table(columns, rows, right=("Replicas",))


def served_model_view(model: ServedModelDetails) -> RenderableType:
    head = facts(
        (
            ("Model", model["model"]),
            ("State", model["state"]),
            ("Notes", "\n".join(model["notes"])),
            ("Options", json.dumps(model["options"])),
            ("Asked with", ", ".join(_field(each) for each in model["fields"]) or "any keys"),
            ("For example", json.dumps(model["example"])),
        )
    )
    return Group(head, Text("\nVersions", style="bold"), _versions(model["versions"]))


def answers_view(answer: Prediction) -> RenderableType:
    return facts(
        (
            ("Label", answer["label"] or "–"),
            ("Confidence", share(answer["confidence"])),
            ("Answer", json.dumps(answer["answer"])),
            ("Version", f"{answer['version']} ({answer['role']})"),
            ("Prediction", answer["prediction_id"] or "not remembered"),
            ("Took", f"{answer['timing_milliseconds']['total']:.1f} ms"),
            ("Notes", "\n".join(answer["notes"])),
        )
    )


def records_view(records: Sequence[JudgedPrediction]) -> RenderableType:
    if not records:
        return Text("Nothing was asked (yet).")
    columns = ("Prediction", "At", "Version", "Role", "Label", "Confidence", "Feedback")
    return table(columns, map(_record, records), right=("Version", "Confidence"))


def _record(record: JudgedPrediction) -> tuple[str, ...]:
    feedback = record["feedback"]
    said = "–" if feedback is None else " ".join(filter(None, (feedback["verdict"], feedback["label"])))
    return (
        record["id"],
        moment(record["at"]),
        str(record["version"]),
        record["role"],
        _said(record),
        share(record["confidence"]),
        said,
    )


def _said(record: Mapping[str, Any]) -> str:
    """The label, or what there is of an answer without one: what was judged is shown without it."""
    return record["label"] or (json.dumps(record["answer"])[:40] if "answer" in record else "–")


def _field(field: Mapping[str, Any]) -> str:
    return f"{field['name']}: {field['type']}{'' if field['required'] else ' (optional)'}"


def _versions(versions: Sequence[Mapping[str, Any]]) -> RenderableType:
    columns = ("Version", "Role", "Trained with", "Asked", "Errors", "Mean", "Right", "Wrong")
    rows: list[tuple[str, ...]] = []
    for version in versions:
        trained = ", ".join(f"{name} {value:g}" for name, value in version["trained_with"].items()) or "–"
        for live in version["live"] or [{}]:
            mean = live.get("mean_milliseconds")
            rows.append(
                (
                    str(version["version"]),
                    live.get("role", "–"),
                    trained,
                    str(live.get("predictions", 0)),
                    str(live.get("errors", 0)),
                    "–" if mean is None else f"{mean:.1f} ms",
                    str(live.get("right", 0)),
                    str(live.get("wrong", 0)),
                )
            )
    return table(columns, rows, right=("Version", "Asked", "Errors", "Mean", "Right", "Wrong"))
