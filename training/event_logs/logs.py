"""The event logs below a path: each a file of its own, or a folder of numbered parts.

Source: Spark's `EventLogFileWriters`. A rolling log is a folder `eventlog_v2_<application id>` with
`events_<number>_<application id>`, of which only the first one has the header, and with an empty
`appstatus_…` that ends in `.inprogress` while the application runs. Spark compacts old parts: what is left of
them ends in `.compact`, and what their finished jobs did is gone.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.event_logs.files import Entry, Files, FilesAway

_ROLLING = "eventlog_v2_"
_PART = re.compile(r"events_(\d+)_")
_COMPACT = ".compact"
_STATUS = "appstatus_"

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
        if entry.name.startswith((".", "_", _STATUS)):
            return  # checksums, and what others leave beside files
        missing = "it was compacted" if _COMPACT in entry.name else ""
        yield LogFiles(entry.path, [entry], missing)
        return
    try:
        inside = files.inside(entry.path)
    except FilesAway as error:
        if depth == 0:
            raise
        yield LogFiles(entry.path, [], "", away=str(error))
        return
    if entry.name.startswith(_ROLLING) or any(_PART.match(each.name) for each in inside):
        yield _rolling(entry, inside)
    elif depth < _MOST_DEPTH:
        for each in inside:
            yield from _logs_at(files, each, depth + 1)


def _rolling(folder: Entry, inside: Sequence[Entry]) -> LogFiles:
    numbered: dict[int, Entry] = {}
    compacted: int | None = None
    for each in inside:
        if (part := _PART.match(each.name)) is None:
            continue
        number = int(part[1])
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
    return LogFiles(folder.path, [numbered[number] for number in numbers], missing)
