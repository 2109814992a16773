"""What `enel doctor` found, a line each, and below what is wrong how to mend it."""

from collections.abc import Iterable, Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

_STYLES = {"ok": "green", "wrong": "bold red", "skipped": "dim"}


def findings_view(findings: Iterable[Mapping[str, str]]) -> RenderableType:
    drawn = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(2):
        drawn.add_column(no_wrap=True)
    drawn.add_column(overflow="fold")
    for each in findings:
        verdict = each["verdict"]
        drawn.add_row(Text(verdict, style=_STYLES[verdict]), Text(each["subject"]), Text(each["detail"]))
        if each["mend"]:
            drawn.add_row("", "", Text(f"→ {each['mend']}"))
    return drawn
