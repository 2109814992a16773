"""What benchmarks print and write: tables, bars, and whether they are met."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Bar:
    """A figure that is to stay within a limit, by itself or as a ratio to a baseline."""

    name: str
    value: float
    limit: float
    baseline: float | None = None
    """What the value is divided by; None: the limit is of the value itself."""
    at_least: float | None = None
    """Lower end, for a figure that has to lie between two or, with an infinite limit, above this one."""
    percent: bool = False

    @property
    def ratio(self) -> float:
        if self.baseline is None:
            return self.value
        if self.baseline == 0:
            return 0.0 if self.value == 0 else float("inf")
        return self.value / self.baseline

    @property
    def is_met(self) -> bool:
        return self.ratio <= self.limit + 1e-9 and (self.at_least is None or self.ratio >= self.at_least)

    def cells(self) -> list[str]:
        def show(value: float) -> str:
            return f"{value:.1%}" if self.percent else f"{value:.2f}"

        limit = f"≤ {self.limit:.2f} x" if self.baseline is not None else f"≤ {show(self.limit)}"
        if self.at_least is not None:
            limit = f"{show(self.at_least)} to {show(self.limit)}"
            if self.limit == math.inf:
                limit = f"≥ {show(self.at_least)}{' x' if self.baseline is not None else ''}"
        return [
            self.name,
            show(self.value),
            "" if self.baseline is None else show(self.baseline),
            "" if self.baseline is None else f"{self.ratio:.2f}",
            limit,
            "met" if self.is_met else "MISSED",
        ]


@dataclass(frozen=True)
class Section:
    """One table."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def bars_section(bars: Sequence[Bar]) -> Section:
    columns = ("bar", "measured", "baseline", "ratio", "wanted", "")
    return Section("Bars", columns, [bar.cells() for bar in bars])


def open_console() -> Console:
    """A terminal's width; in pipes and files, one that all tables fit in."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 170)


def show(console: Console, sections: Sequence[Section]) -> None:
    for section in sections:
        table = Table(title=section.title, title_justify="left")
        for index, column in enumerate(section.columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in section.rows:
            table.add_row(*row)
        console.print(table)


def write(folder: Path, name: str, sections: Sequence[Section], bars: Sequence[Bar], values: Any) -> None:
    """Write the tables as markdown and everything as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for section in sections:
        lines += [f"## {section.title}", "", "| " + " | ".join(section.columns) + " |"]
        lines.append("| --- " + "| ---: " * (len(section.columns) - 1) + "|")
        lines += ["| " + " | ".join(row) + " |" for row in section.rows]
        lines.append("")
    (folder / f"{name}.md").write_text("\n".join(lines), encoding="utf-8")
    judged: list[Mapping[str, Any]] = [
        {**asdict(bar), "ratio": bar.ratio, "is_met": bar.is_met} for bar in bars
    ]
    content = {"bars": judged, "values": values}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


MARKERS = "*osD^vPX"


def scatter_policies(axis: Any, at: Mapping[str, tuple[float, float]], names: Sequence[str]) -> None:
    """Mark where policies are; each looks the same in all pictures of the same names, the first is larger.

    Args:
        at: Executor-hours a run, and share of targets missed in percent.
    """
    for index, name in enumerate(names):
        if name in at:
            marker, size = MARKERS[index % len(MARKERS)], 45 if index else 90
            axis.scatter(*at[name], s=size, marker=marker, color=f"C{index % 10}", label=name)
    axis.margins(x=0.12, y=0.08)
    axis.set(xlabel="executor-hours per run", ylabel="targets missed, %")


def legend_below(figure: Any, axis: Any, columns: int = 4) -> None:
    """One legend for all pictures, as one of them has it; those on top of each other need no labels."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=columns, fontsize=8)
    inches = 0.3 + 0.19 * -(-len(labels) // columns)
    figure.tight_layout(rect=(0, inches / figure.get_figheight(), 1, 1))
