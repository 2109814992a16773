"""What came of event logs."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def imports_view(found: dict[str, Any]) -> RenderableType:
    """A row for each log, and how many of each outcome."""
    table = Table()
    for column in ("application", "name", "spark", "jobs", "outcome", "state"):
        table.add_column(column, justify="right" if column == "jobs" else "left")
    reasons = Text()
    for row in found["logs"]:
        table.add_row(
            row["application_id"] or row["log"].rpartition("/")[2],
            row.get("name") or "",
            row.get("spark_version") or "",
            str(row["jobs"]),
            row["outcome"],
            row.get("state") or "",
        )
        if row.get("reason"):
            reasons.append(f"{row['log']}: {row['reason']}\n")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found["summary"].items()))
    return Group(table, Text(counts), reasons)
