"""Environments, and what was resolved of their requirements."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from app.cli.console import facts, table
from app.cli.units import moment
from app.client.answers import Environment


def environments_view(environments: Sequence[Environment]) -> RenderableType:
    if not environments:
        return Text("No environments. A program with a requirements.txt in its folder makes one.")
    columns = ("Id", "State", "Size", "Python", "Made", "Last used", "Requirements")
    rows = (
        (
            each["id"],
            each["state"],
            _size(each["size_bytes"]),
            each["python_version"],
            moment(each["created_at"]),
            moment(each["last_used_at"]),
            ", ".join(each["requirements"])[:60],
        )
        for each in environments
    )
    return table(columns, rows, right=("Size",))


def environment_view(environment: Environment) -> RenderableType:
    return facts(
        (
            ("Id", environment["id"]),
            ("State", f"{environment['state']} {environment['state_reason']}".strip()),
            ("Requirements", "\n".join(environment["requirements"])),
            ("Packages", "\n".join(environment["packages"])),
            ("Size", _size(environment["size_bytes"])),
            ("Python", f"{environment['python_version']} on {environment['platform']}"),
            ("Made", moment(environment["created_at"])),
            ("Started", moment(environment["started_at"])),
            ("Ended", moment(environment["ended_at"])),
            ("Last used", moment(environment["last_used_at"])),
        )
    )


def _size(size_bytes: int | None) -> str:
    return "–" if size_bytes is None else f"{size_bytes / (1 << 20):.1f} MiB"
