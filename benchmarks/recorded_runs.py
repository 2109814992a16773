"""Recorded runs in the formats of C3O (TSV), Bell (CSV) and Dataproc (CSV).

C3O: one file per job, tab-separated; `instance_count`, `gross_runtime` (seconds), and columns that
differ from job to job. Bell: `Nodes` and `Runtime` (milliseconds), nothing else. Dataproc: one file of
several jobs; `algorithm`, `dataset_size_bytes`, `cpu_cores_per_node`, `memory_gb_per_node`, `scaleout`
and `runtime` (seconds).

Sources: Will et al., C3O, IC2E 2021; Thamsen et al., Bell, IPCCC 2016.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

SCALE_OUT, RUNTIME = "instance_count", "gross_runtime"
MACHINE, SIZE = "machine_type", "data_size_MB"
CORES, MEMORY = "slots", "memory"
BELL_SCALE_OUT, BELL_RUNTIME = "nodes", "runtime"
DATAPROC_COLUMNS = (
    "algorithm",
    "dataset_size_bytes",
    "cpu_cores_per_node",
    "memory_gb_per_node",
    "scaleout",
    "runtime",
)

Value = float | str


class DataMissing(Exception):
    """There is nothing to read, or it is not in the expected format."""


@dataclass(frozen=True)
class RecordedRun:
    context: tuple[tuple[str, Value], ...]
    """All columns but scale-out and runtime; totals over instances are divided by their number."""
    scale_out: float
    runtime_seconds: float
    columns: Mapping[str, Value]
    """The same as recorded."""


@dataclass(frozen=True)
class RecordedJob:
    name: str
    runs: tuple[RecordedRun, ...]
    resources: tuple[str, ...] = ()
    """Columns that were totals over instances, now per instance."""
    sizes: tuple[str, ...] = ()
    machine: str | None = None
    """Column that names the type of machine."""
    memory: tuple[str, ...] = ()
    """Columns of an instance's memory, in the unit of the sizes."""

    @cached_property
    def contexts(self) -> dict[tuple[tuple[str, Value], ...], dict[float, list[int]]]:
        """Indices of the runs by context and scale-out."""
        found: dict[tuple[tuple[str, Value], ...], dict[float, list[int]]] = {}
        for index, run in enumerate(self.runs):
            found.setdefault(run.context, {}).setdefault(run.scale_out, []).append(index)
        return found


class Recordings(NamedTuple):
    """Jobs by the format that they were recorded in."""

    c3o: list[RecordedJob]
    bell: list[RecordedJob]
    dataproc: list[RecordedJob]


def load_c3o(path: Path) -> RecordedJob:
    """Read a job's runs.

    Raises:
        DataMissing: The file is not such a table.
    """
    rows = _rows(path, "\t")
    if not {SCALE_OUT, RUNTIME} <= set(rows[0]):
        raise DataMissing(f"{path} has no columns {SCALE_OUT} and {RUNTIME}")
    names = [name for name in rows[0] if name not in (SCALE_OUT, RUNTIME)]
    scale_outs = [_positive(path, row[SCALE_OUT]) for row in rows]
    columns = [{name: _value(row[name]) for name in names} for row in rows]
    totals = {name for name in names if _is_total([row[name] for row in columns], scale_outs)}
    runs = []
    for row, values, scale_out in zip(rows, columns, scale_outs, strict=True):
        context = tuple(
            (name, value / scale_out if name in totals and not isinstance(value, str) else value)
            for name, value in values.items()
        )
        runs.append(RecordedRun(context, scale_out, _positive(path, row[RUNTIME]), values))
    return RecordedJob(
        name=path.stem,
        runs=tuple(runs),
        resources=tuple(name for name in names if name in totals),
        sizes=(SIZE,) if SIZE in names else (),
        machine=MACHINE if MACHINE in names else None,
        memory=(MEMORY,) if MEMORY in totals else (),
    )


def load_bell(path: Path) -> RecordedJob:
    """Read a job's runs; they have no context.

    Raises:
        DataMissing: The file is not such a table.
    """
    rows = _rows(path, ",")
    by_name = {name.split("[")[0].strip().lower(): name for name in rows[0]}
    if not {BELL_SCALE_OUT, BELL_RUNTIME} <= set(by_name):
        raise DataMissing(f"{path} has no columns Nodes and Runtime")
    runs = tuple(
        RecordedRun(
            (),
            _positive(path, row[by_name[BELL_SCALE_OUT]]),
            _positive(path, row[by_name[BELL_RUNTIME]]) / 1000.0,
            {},
        )
        for row in rows
    )
    return RecordedJob(path.stem, runs)


def load_dataproc(path: Path) -> list[RecordedJob]:
    """Read the runs of all jobs, by name; sizes and memory in MB, machines named by what they have.

    Raises:
        DataMissing: The file is not such a table.
    """
    rows = _rows(path, ",")
    if not set(DATAPROC_COLUMNS) <= set(rows[0]):
        raise DataMissing(f"{path} has no columns {', '.join(DATAPROC_COLUMNS)}")
    by_name: dict[str, list[RecordedRun]] = {}
    for row in rows:
        name, *others = (row[column] for column in DATAPROC_COLUMNS)
        size, cores, memory, scale_out, seconds = (_positive(path, text) for text in others)
        context: dict[str, Value] = {
            MACHINE: f"{cores:g} cores, {memory:g} GB",
            CORES: cores,
            MEMORY: 1000.0 * memory,
            SIZE: size / 1e6,
        }
        columns: dict[str, Value] = {CORES: cores, MEMORY: memory, SIZE: size}
        by_name.setdefault(name, []).append(RecordedRun(tuple(context.items()), scale_out, seconds, columns))
    return [
        RecordedJob(name, tuple(runs), (CORES, MEMORY), (SIZE,), MACHINE, (MEMORY,))
        for name, runs in sorted(by_name.items())
    ]


def load_folder(folder: Path, names: Sequence[str] = ()) -> Recordings:
    """Jobs of all formats: `c3o/*.tsv`, `bell/*.csv`, `dataproc/*.csv`, or such files in the folder itself.

    Args:
        names: Of files, with or without their folder and ending, or paths to others; all when empty.
    Raises:
        DataMissing: There are none, or one that is named is not there.
    """
    if not folder.is_dir():
        raise DataMissing(f"there is no folder {folder}")

    def files(*kinds: str, ending: str) -> list[Path]:
        inside = [path for kind in kinds for path in folder.glob(f"{kind}/*{ending}")]
        found = sorted([*inside, *folder.glob(f"*{ending}")])
        wanted = [{path.stem, path.name, str(path.relative_to(folder)), str(path)} for path in found]
        chosen = [p for p, known in zip(found, wanted, strict=True) if not names or known & set(names)]
        met.update(*wanted)
        return [*chosen, *(Path(name) for name in names if name not in met and _is_file(name, ending))]

    met: set[str] = set()
    c3o = [load_c3o(path) for path in files("c3o", ending=".tsv")]
    tables = files("bell", "dataproc", ending=".csv")
    bell = [load_bell(path) for path in tables if not _is_dataproc(path)]
    dataproc = [job for path in tables if _is_dataproc(path) for job in load_dataproc(path)]
    missing = [name for name in names if name not in met and not _is_file(name, ".tsv", ".csv")]
    if missing:
        raise DataMissing(f"there is no {', '.join(missing)} in {folder}")
    if not (c3o or bell or dataproc):
        raise DataMissing(f"no recorded runs in {folder}: expected c3o/*.tsv, bell/*.csv and dataproc/*.csv")
    return Recordings(c3o, bell, dataproc)


def _is_dataproc(path: Path) -> bool:
    """By its first column."""
    with path.open(encoding="utf-8-sig") as file:
        return file.readline().split(",")[0].strip() == DATAPROC_COLUMNS[0]


def _is_file(name: str, *endings: str) -> bool:
    return name.endswith(endings) and Path(name).is_file()


def _rows(path: Path, delimiter: str) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file, delimiter=delimiter) if any(row.values())]
    if not rows:
        raise DataMissing(f"{path} has no rows")
    if any(None in row or None in row.values() for row in rows):
        raise DataMissing(f"{path} has rows that do not fit its header")
    return rows


def _value(text: str) -> Value:
    try:
        number = float(text)
    except ValueError:
        return text.strip()
    return number if math.isfinite(number) else text.strip()


def _positive(path: Path, text: str) -> float:
    value = _value(text)
    if isinstance(value, str) or value <= 0:
        raise DataMissing(f"{path}: {text!r} is not a positive number")
    return value


def _is_total(values: Sequence[Value], scale_outs: Sequence[float]) -> bool:
    """Whether a column is a total over the instances: much fewer values when divided by their number."""
    numbers = [value for value in values if not isinstance(value, str)]
    if len(numbers) < len(values) or min(numbers) <= 0:
        return False
    single = {round(value / count, 6) for value, count in zip(numbers, scale_outs, strict=True)}
    return 1.5 * len(single) < len(set(numbers))
