"""Tables, bars and picture of `initial_prediction.py`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

from benchmarks.initial_protocol import mean_over_jobs

Row = dict[str, Any]


class Bar(NamedTuple):
    """What is to be reached: a ratio to a baseline of the same run, or a range of the value itself."""

    what: str
    value: float
    baseline: float | None
    wanted: str
    met: bool


class Sheet(NamedTuple):
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def write_report(rows: Sequence[Row], folder: Path, console: Console) -> None:
    """Print everything, and write report.md, report.json and errors.png."""
    sheets = [sheet for sheet in all_sheets(rows) if sheet.rows]
    bars = all_bars(rows)
    sheets.insert(0, _bar_sheet(bars))
    for sheet in sheets:
        table = Table(title=sheet.title)
        for number, column in enumerate(sheet.columns):
            table.add_column(column, justify="left" if number == 0 else "right")
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)
    markdown = "\n\n".join(_markdown(sheet) for sheet in sheets)
    (folder / "report.md").write_text(f"# Initial prediction\n\n{markdown}\n")
    content = {"bars": [bar._asdict() for bar in bars], "tables": [sheet._asdict() for sheet in sheets]}
    (folder / "report.json").write_text(json.dumps(content, indent=1))
    _picture(rows, folder / "errors.png")
    console.print(f"written to {folder}")


def all_bars(rows: Sequence[Row]) -> list[Bar]:
    bars: list[Bar] = []

    def ratio(what: str, part: str, points: int, baseline: str, most: float, limit: float = 1e9) -> None:
        own = mean_over_jobs(_only(rows, part=part, points=points, method="ours"), "error")
        other = mean_over_jobs(_only(rows, part=part, points=points, method=baseline), "error")
        if own == own and other == other:
            wanted = f"<= {most:.2f} x {baseline}" + (f", <= {limit:.1%}" if limit < 1 else "")
            bars.append(Bar(what, own, other, wanted, own <= most * other and own <= limit))

    ratio("contexts, n=0", "contexts", 0, "boosting", 0.60)
    ratio("contexts, n=2", "contexts", 2, "boosting", 0.40, 0.042)
    ratio("unseen machine, n=3", "unseen machine", 3, "boosting", 0.70)
    ratio("unseen machine, n=0", "unseen machine", 0, "boosting", 1.0)
    for job, machine in sorted({(r["job"], r["machine"]) for r in _only(rows, part="unseen machine")}):
        group = _only(rows, part="unseen machine", points=0, job=job, machine=machine)
        if group:
            own, other = (_mean(_only(group, method=m), "error") for m in ("ours", "boosting"))
            what = f"unseen machine, n=0: {job}, {machine}"
            bars.append(Bar(what, own, other, "<= 1.00 x boosting", own <= other))
    ratio("Bell, n=4", "bell", 4, "Ernest", 0.65)
    ratio("Bell, n=6", "bell", 6, "Ernest", 0.55)
    chosen = _only(rows, part="selection", method="ours")
    if chosen:
        for value, most in (("violations", 0.05), ("executors", 0.12), ("executor_seconds", 0.12)):
            share = mean_over_jobs(chosen, value)
            bars.append(
                Bar(f"selection, n=2: {_LABELS[value]}", share, None, f"<= {most:.0%}", share <= most)
            )
    for part in ("contexts", "bell"):
        covered = [
            row for row in _only(rows, part=part, method="ours") if part == "contexts" or row["points"] > 2
        ]
        for job in sorted({row["job"] for row in covered}):
            share = _mean(_only(covered, job=job), "coverage")
            about = "contexts" if part == "contexts" else "Bell, n>2"
            bars.append(
                Bar(f"90% intervals, {about}: {job}", share, None, "85% to 95%", 0.85 <= share <= 0.95)
            )
    return bars


_LABELS = {
    "violations": "violations",
    "executors": "over-provisioned executors",
    "executor_seconds": "over-provisioned executor-seconds",
}


def all_sheets(rows: Sequence[Row]) -> list[Sheet]:
    sheets = []
    for part, title in (
        ("contexts", "Error by known runs of the context (n), mean over jobs"),
        ("unseen machine", "Error for an unseen machine type, mean over jobs"),
        ("bell", "Error without any context (Bell), mean over jobs"),
    ):
        found = [row for row in rows if row["part"] == part]
        points = sorted({row["points"] for row in found})
        methods = list(dict.fromkeys(row["method"] for row in found))
        same_seed = {row["seed"] for row in found if row["method"].startswith("ours without")}
        table = [
            (
                method if not method.startswith("ours without") else f"{method} (seed 0)",
                *(_percent(mean_over_jobs(_only(found, method=method, points=n), "error")) for n in points),
            )
            for method in methods
        ]
        if same_seed:
            first = [row for row in found if row["seed"] in same_seed]
            values = (mean_over_jobs(_only(first, method="ours", points=n), "error") for n in points)
            table.append(("ours (seed 0)", *map(_percent, values)))
        sheets.append(Sheet(title, ("method", *(f"n={n}" for n in points)), table))
        jobs = sorted({row["job"] for row in found})
        by_job = [
            (
                f"{job}, n={n}",
                *(_percent(_mean(_only(found, job=job, points=n, method=m), "error")) for m in methods),
                _percent(_mean(_only(found, job=job, points=n, method="ours"), "coverage")),
            )
            for job in jobs
            for n in points
        ]
        sheets.append(Sheet(f"{title.split(',')[0]}, by job", ("job", *methods, "coverage of ours"), by_job))
    for part, title in (
        ("selection", "Selection at n=2, targets between the fastest and the slowest"),
        ("selection by rank", "Selection at n=2, targets at quantiles of the medians"),
    ):
        found = [row for row in rows if row["part"] == part]
        table = [
            (name, *(_percent(mean_over_jobs(_only(found, method=name), value)) for value in _LABELS))
            for name in dict.fromkeys(row["method"] for row in found)
        ]
        table += [
            (f"ours, {job}", *(_percent(_mean(_only(found, method="ours", job=job), v)) for v in _LABELS))
            for job in sorted({row["job"] for row in found})
        ]
        sheets.append(Sheet(title, ("method", *_LABELS.values()), table))
    taken = [row for row in rows if row["part"] == "latency"]
    table = [(f"{row['job']}, {row['runs']} runs", f"{1000 * row['seconds']:.0f}") for row in taken]
    sheets.append(Sheet("Fit and predict", ("runs", "milliseconds"), table))
    return sheets


def _bar_sheet(bars: Sequence[Bar]) -> Sheet:
    table = [
        (
            bar.what,
            _percent(bar.value),
            _percent(bar.baseline) if bar.baseline is not None else "",
            f"{bar.value / bar.baseline:.2f}" if bar.baseline else "",
            bar.wanted,
            "yes" if bar.met else "NO",
        )
        for bar in bars
    ]
    return Sheet("Bars", ("what", "ours", "baseline", "ratio", "wanted", "met"), table)


def _only(rows: Sequence[Row], **wanted: Any) -> list[Row]:
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def _mean(rows: Sequence[Row], value: str) -> float:
    return float(np.mean([row[value] for row in rows])) if rows else float("nan")


def _percent(value: float) -> str:
    return "–" if value != value else f"{100 * value:.1f}%"


def _markdown(sheet: Sheet) -> str:
    head = "| " + " | ".join(sheet.columns) + " |\n|" + " --- |" * len(sheet.columns)
    body = "\n".join("| " + " | ".join(row) + " |" for row in sheet.rows)
    return f"## {sheet.title}\n\n{head}\n{body}"


def _picture(rows: Sequence[Row], path: Path) -> None:
    """Error over n by method, one panel per part."""
    parts = [part for part in ("contexts", "unseen machine", "bell") if _only(rows, part=part)]
    figure, axes = plt.subplots(1, max(len(parts), 1), figsize=(5 * max(len(parts), 1), 4), squeeze=False)
    for axis, part in zip(axes[0], parts, strict=False):
        found = _only(rows, part=part)
        points = sorted({row["points"] for row in found})
        for method in dict.fromkeys(row["method"] for row in found):
            if method.startswith("ours without"):
                continue
            values = [mean_over_jobs(_only(found, method=method, points=n), "error") for n in points]
            axis.plot(
                points, 100 * np.array(values), marker="o", label=method, lw=3 if method == "ours" else 1
            )
        axis.set(title=part, xlabel="known runs of the context (n)", ylabel="mean relative error, %")
        axis.set_yscale("log")
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
