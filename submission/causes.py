"""Why something failed, read out of what a program or a platform has written; pure.

Causes are read, never guessed: what is returned stands in the text, cut where it is too long.
"""

import re
from collections.abc import Iterable, Sequence

LONGEST_REASON = 1000

_TELLING = re.compile(
    r"is forbidden|exceeded quota|\bexit(?:ed with)? (?:code|status)\b|\bExitCode\b|\bOOMKilled\b|\bEvicted\b"
    r"|^Exception in thread|^Caused by:|^Error: ",
    re.IGNORECASE,
)
_DENIED = re.compile(r"is forbidden|exceeded quota|denied (?:the )?request")
_THROWN = re.compile(r"\b[A-Za-z_][\w.$]*(?:Exception|Error)\b(?!:? at )")
"""A class of the JVM or of Python that says what went wrong, wherever it stands."""
_FRAME = re.compile(r"\s*at [\w.$/<>]+\(")
_GAP = " … "


def cause_of(message: str, most: int = LONGEST_REASON) -> str:
    """A message as it is, or where it is longer than `most` characters, what tells why; else both ends."""
    message = message.encode("utf-8", "replace").decode().strip()  # JSON may have halves of characters
    if len(message) <= most:
        return message
    lines = [line.strip() for line in message.splitlines()]
    telling = java_causes(lines) or _last(line for line in lines if _TELLING.search(line))
    telling = telling or _last(line for line in lines if _THROWN.search(line) and not _FRAME.match(line))
    return fitted(telling, most) if telling else _ends(message, most)


def java_causes(lines: Sequence[str]) -> list[str]:
    """The uncaught exception, its root cause, and what an API server denied, where none of these says it."""
    found = [
        *_last(line for line in lines if line.startswith("Exception in thread")),
        *_last(line for line in lines if line.startswith("Caused by:")),
    ]
    if not any(_DENIED.search(line) for line in found):
        found += _last(line for line in lines if _DENIED.search(line))
    return found


def fitted(lines: Sequence[str], most: int = LONGEST_REASON) -> str:
    """The lines in one, none of them at the cost of the others; of a long one the part that tells why."""
    left, texts = most, dict.fromkeys(lines, "")
    for number, line in enumerate(sorted(texts, key=len)):
        share = left // (len(texts) - number) - len("; ")
        texts[line] = line if len(line) <= share else _excerpt(line, share)
        left -= len(texts[line]) + len("; ")
    return "; ".join(texts.values())[:most]


def _excerpt(line: str, most: int) -> str:
    """Around what an API server denied, which clients put between an address and a whole status; otherwise
    around what tells why, where that would be cut out."""
    if not (told := _DENIED.search(line)):
        told = _TELLING.search(line) or _THROWN.search(line)
        if told is None or told.end() < most // 4 or told.start() > len(line) - most // 2:
            return _ends(line, most)
    room = most - 2 * len(_GAP)
    start = max(0, min(told.start() - room // 3, len(line) - room))
    before, after = _GAP if start > 0 else "", _GAP if start + room < len(line) else ""
    return f"{before}{line[start : start + room]}{after}"


def _ends(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    first = (most - len(_GAP)) // 3
    return text[:first] + _GAP + text[len(text) - (most - len(_GAP) - first) :]


def _last(lines: Iterable[str]) -> list[str]:
    return list(lines)[-1:]
