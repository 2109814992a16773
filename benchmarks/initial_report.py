"""Tables, bars and picture of `initial_prediction.py`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console

from benchmarks.initial_protocol import mean_over_jobs
from benchmarks.reporting import Bar, Section, bars_section, show, write

Row = dict[str, Any]


def write_report(rows: Sequence[Row], folder: Path, console: Console) -> None:
    """Print everything, and write tables, rows and a picture."""
    bars = all_bars(rows)
    sections = [bars_section(bars), *(section for section in all_sections(rows) if section.rows)]
    show(console, sections)
    write(folder, "initial_prediction", sections, bars, list(rows))
    _picture(rows, folder / "initial_prediction.png")
    console.print(f"written to {folder}")


SERVICE = "the service"
"""What is answered over HTTP with the same runs as its history."""

MEDIAN = "median of known runs"

SIZE_PARTS = ("one size known, Dataproc", "one size known, C3O")
"""Another data size is asked for than all others are of."""


def all_bars(rows: Sequence[Row]) -> list[Bar]:
    bars: list[Bar] = []

    def of(method: str, part: str, points: int) -> float:
        return mean_over_jobs(_only(rows, part=part, points=points, method=method), "error")

    def ratio(what: str, part: str, points: int, baseline: str, most: float) -> None:
        own, other = of("ours", part, points), of(baseline, part, points)
        if own == own and other == other:
            bars.append(Bar(f"{what}: error over {baseline}", own, most, other, percent=True))

    ratio("contexts, n=0", "contexts", 0, "boosting", 0.60)
    ratio("contexts, n=2", "contexts", 2, "boosting", 0.40)
    if (own := of("ours", "contexts", 2)) == own:
        bars.append(Bar("contexts, n=2: error", own, 0.042, percent=True))
    for part in ("contexts", "bell"):
        for points in sorted({row["points"] for row in _only(rows, part=part, method=SERVICE)}):
            own, model = (
                mean_over_jobs(_only(rows, part=part, points=points, method=method, seed=0), "error")
                for method in (SERVICE, "ours")
            )
            name = f"{part}, n={points}: error of the service over the model's (seed 0)"
            bars.append(Bar(name, own, 1.05, model, percent=True))
    ratio("unseen machine, n=3", "unseen machine", 3, "boosting", 0.70)
    ratio("unseen machine, n=0", "unseen machine", 0, "boosting", 1.0)
    for job, machine in sorted({(r["job"], r["machine"]) for r in _only(rows, part="unseen machine")}):
        group = _only(rows, part="unseen machine", points=0, job=job, machine=machine)
        if group:
            own, other = (_mean(_only(group, method=m), "error") for m in ("ours", "boosting"))
            what = f"unseen machine, n=0: {job}, {machine}: error over boosting"
            bars.append(Bar(what, own, 1.0, other, percent=True))
    ratio("Bell, n=4", "bell", 4, "Ernest", 0.65)
    ratio("Bell, n=6", "bell", 6, "Ernest", 0.55)
    for job in sorted({row["job"] for row in _only(rows, part="bell")}):
        for points in sorted({row["points"] for row in _only(rows, part="bell", job=job)}):
            group = _only(rows, part="bell", job=job, points=points)
            own, median = (_mean(_only(group, method=m), "error") for m in ("ours", MEDIAN))
            what = f"Bell, n={points}: {job}: error over the {MEDIAN}"
            bars.append(Bar(what, own, 1.05, median, percent=True))
    chosen = _only(rows, part="selection", method="ours")
    if chosen:
        for value, most in (("violations", 0.05), ("executors", 0.12), ("executor_seconds", 0.12)):
            share = mean_over_jobs(chosen, value)
            bars.append(Bar(f"selection, n=2: {_LABELS[value]}", share, most, percent=True))
    for part in ("contexts", "bell"):
        covered = [
            row for row in _only(rows, part=part, method="ours") if part == "contexts" or row["points"] > 2
        ]
        for job in sorted({row["job"] for row in covered}):
            share = _mean(_only(covered, job=job), "coverage")
            about = "contexts" if part == "contexts" else "Bell, n>2"
            bars.append(Bar(f"90% intervals cover, {about}: {job}", share, 0.95, at_least=0.85, percent=True))
    return bars


_LABELS = {
    "violations": "violations",
    "executors": "over-provisioned executors",
    "executor_seconds": "over-provisioned executor-seconds",
}


def all_sections(rows: Sequence[Row]) -> list[Section]:
    sections = []
    for part, title in (
        ("contexts", "Error by known runs of the context (n), mean over jobs"),
        ("unseen machine", "Error for an unseen machine type, mean over jobs"),
        ("bell", "Error without any context (Bell), mean over jobs"),
        ("Dataproc", "Error on Dataproc by known runs of the context (n), mean over jobs"),
        ("Dataproc, unseen machine", "Error on Dataproc for an unseen machine type, mean over jobs"),
        *(
            (part, f"Error with {part}, by known runs of the other (n), mean over jobs")
            for part in SIZE_PARTS
        ),
    ):
        found = [row for row in rows if row["part"] == part]
        points = sorted({row["points"] for row in found})
        methods = list(dict.fromkeys(row["method"] for row in found))
        table = [
            (
                _label(method),
                *(_percent(mean_over_jobs(_only(found, method=method, points=n), "error")) for n in points),
            )
            for method in methods
        ]
        if any(map(_is_of_first_seed, methods)):  # what those are to be compared with
            first = _only(found, method="ours", seed=0)
            values = (mean_over_jobs(_only(first, points=n), "error") for n in points)
            table.append(("ours (seed 0)", *map(_percent, values)))
        sections.append(Section(title, ("method", *(f"n={n}" for n in points)), table))
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
        if any("way" in row for row in found):
            by_job += [
                (
                    f"{job}, the {way} size asked for",
                    *(_percent(_mean(_only(found, job=job, way=way, method=m), "error")) for m in methods),
                    _percent(_mean(_only(found, job=job, way=way, method="ours"), "coverage")),
                )
                for job in jobs
                for way in ("larger", "smaller")
            ]
            sections.append(_medians_of(found, title, methods, points))
        sections.append(
            Section(
                f"{title.removesuffix(', mean over jobs')}, by job",
                ("job", *map(_label, methods), "coverage of ours"),
                by_job,
            )
        )
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
        sections.append(Section(title, ("method", *_LABELS.values()), table))
    taken = [row for row in rows if row["part"] == "latency"]
    table = [(f"{row['job']}, {row['runs']} runs", f"{1000 * row['seconds']:.0f}") for row in taken]
    sections.append(Section("Fit and predict", ("runs", "milliseconds"), table))
    return sections


def _medians_of(found: Sequence[Row], title: str, methods: Sequence[str], points: Sequence[int]) -> Section:
    """Errors that one cliff does not decide: medians over contexts and draws, means over jobs."""

    def median(rows: Sequence[Row]) -> float:
        errors: dict[str, list[float]] = {}
        for row in rows:
            errors.setdefault(row["job"], []).append(row["error"])
        return float(np.mean([np.median(each) for each in errors.values()])) if errors else float("nan")

    table = [
        (_label(method), *(_percent(median(_only(found, method=method, points=n))) for n in points))
        for method in methods
    ]
    if any(map(_is_of_first_seed, methods)):
        first = _only(found, method="ours", seed=0)
        table.append(("ours (seed 0)", *(_percent(median(_only(first, points=n))) for n in points)))
    return Section(f"{title}: medians", ("method", *(f"n={n}" for n in points)), table)


def _is_of_first_seed(method: str) -> bool:
    """Whether a method is asked with the first seed alone, because it takes long."""
    return method == SERVICE or method.startswith("ours without")


def _label(method: str) -> str:
    return f"{method} (seed 0)" if _is_of_first_seed(method) else method


def _only(rows: Sequence[Row], **wanted: Any) -> list[Row]:
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def _mean(rows: Sequence[Row], value: str) -> float:
    return float(np.mean([row[value] for row in rows])) if rows else float("nan")


def _percent(value: float) -> str:
    return "–" if value != value else f"{100 * value:.1f}%"


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
                points,
                100 * np.array(values),
                marker="o",
                label=_label(method),
                lw=3 if method == "ours" else 1,
            )
        axis.set(title=part, xlabel="known runs of the context (n)", ylabel="mean relative error, %")
        axis.set_yscale("log")
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
