"""Models and their versions."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.console import facts, table
from app.cli.units import moment, share
from app.client.answers import Model, ModelVersion

ModelWithVersions = Mapping[str, Any]
"""A model, with its `versions`."""


def models_view(models: Sequence[Model]) -> RenderableType:
    if not models:
        return Text("No models. `enel train ALGORITHM` makes the first one.")
    columns = ("Name", "Algorithm", "Serves", "Latest version")
    rows = (
        (
            each["name"],
            each["algorithm_name"],
            "nothing" if each["champion"] is None else f"version {each['champion']}",
            str(each["latest_version"]),
        )
        for each in models
    )
    return table(columns, rows, right=("Latest version",))


def model_view(model: ModelWithVersions) -> RenderableType:
    serves = model["aliases"].get("champion")
    head = facts(
        (
            ("Name", model["name"]),
            ("Algorithm", model["algorithm_name"]),
            ("Serves", "nothing" if serves is None else f"version {serves['version']}"),
            ("Since", moment(serves["since"]) if serves else ""),
            ("Because", serves["reason"] if serves else ""),
        )
    )
    return Group(head, Text("\nVersions", style="bold"), versions_view(model["versions"]))


def versions_view(versions: Sequence[ModelVersion]) -> RenderableType:
    columns = ("Version", "State", "Aliases", "Error", "Runs", "Made", "How it came to serve, or not")
    return table(columns, map(_version, versions), right=("Version", "Error", "Runs"))


def _version(version: ModelVersion) -> tuple[str, ...]:
    promotion = version["promotion"] or {}
    return (
        str(version["version"]),
        version["state"],
        ", ".join(version["aliases"]) or "–",
        share(promotion.get("version_error")),
        str(version["training_data"]["runs"]),
        moment(version["created_at"]),
        str(promotion.get("reason") or "–"),
    )
