"""The event logs below a path: each a file of its own, or a folder of numbered parts.

Source: Spark's `EventLogFileWriters`. A rolling log is a folder `eventlog_v2_<application id>` with
`events_<number>_<application id>`, of which only the first one has the header, and with an empty
`appstatus_…` that ends in `.inprogress` while the application runs. Spark compacts old parts: what is left of
them ends in `.compact`, and what their finished jobs did is gone. Whoever copies logs may put parts of
several into one folder, beside others.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from training.event_logs.files import Entry, Files, FilesAway

_ROLLING = "eventlog_v2_"
_PART = re.compile(r"events_(\d+)_(.*)", re.DOTALL)
_COMPACT = ".compact"
_CODECS = re.compile(r"\.(?:zstd|zst|lz4|snappy|lzf|gz)$")
"""Spark adds the codec's name to a part's; people add others."""
_NO_LOGS = (".", "_", "appstatus_")
"""Checksums, what others leave beside files, and whether an application runs."""

_MOST_DEPTH = 8


@dataclass(frozen=True)
class LogFiles:
    """The files of one log.

    Attributes:
        missing: Why what it holds is not all that happened, or "".
        away: Why nothing can be said of it, or "".
    """

    path: str
    parts: Sequence[Entry]
    missing: str
    away: str = ""


def logs_below(files: Files, path: str) -> Iterator[LogFiles]:
    """The logs at a path: itself, where it is one, or those in it, by name; folders in it that cannot be read
    are among them. Raises FilesAway."""
    yield from _logs_at(files, files.look(path), 0)


def _logs_at(files: Files, entry: Entry, depth: int) -> Iterator[LogFiles]:
    if not entry.is_folder:
        if entry.name.startswith(_NO_LOGS):
            return
        missing = "it was compacted" if entry.name.endswith(_COMPACT) else ""
        yield LogFiles(entry.path, [entry], missing)
        return
    try:
        inside = files.inside(entry.path)
    except FilesAway as error:
        if depth == 0:
            raise
        yield LogFiles(entry.path, [], "", away=str(error))
        return
    is_rolling = entry.name.startswith(_ROLLING)
    parts: dict[str, dict[Entry, int]] = {}
    others: list[Entry] = []
    for each in inside:
        if each.name.startswith(_NO_LOGS):
            continue
        if each.is_folder or (part := _PART.fullmatch(each.name)) is None:
            others.append(each)
        else:
            parts.setdefault(_log_of(part[2]), {})[each] = int(part[1])
    if is_rolling and not parts:
        yield LogFiles(entry.path, [], "it has no part yet")
    for name, found in parts.items():
        is_alone = len(parts) == 1 and (is_rolling or not others)
        yield _rolling(entry.path if is_alone else f"{entry.path}/events_*_{name}", found)
    if not is_rolling and depth < _MOST_DEPTH:
        for each in others:
            yield from _logs_at(files, each, depth + 1)


def _log_of(rest: str) -> str:
    """What all parts of a log have in common, of the rest of a part's name."""
    return _CODECS.sub("", rest.removesuffix(_COMPACT))


def _rolling(path: str, parts: Mapping[Entry, int]) -> LogFiles:
    numbered: dict[int, Entry] = {}
    compacted: int | None = None
    for each, number in parts.items():
        if each.name.endswith(_COMPACT):
            compacted = max(number, compacted or 0)
            numbered[number] = each
        else:
            numbered.setdefault(number, each)
    # What was compacted holds what is left of all parts up to its own number.
    numbers = sorted(number for number in numbered if compacted is None or number >= compacted)
    missing = ""
    if compacted is not None:
        missing = f"its parts up to {compacted} were compacted: of their finished jobs nothing is left"
    elif numbers and (absent := sorted(set(range(1, numbers[-1] + 1)).difference(numbers))):
        missing = f"its part {absent[0]} is missing"
    return LogFiles(path, [numbered[number] for number in numbers], missing)
