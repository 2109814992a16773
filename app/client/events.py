"""What comes bit by bit: server-sent events, and logs of which only the end is kept."""

import json
import re
from collections.abc import Iterator, Sequence

from app.client.problems import ProblemError

_ENDING = re.compile(r"\r\n|\n|\r(?!\Z)")
"""A return at the very end may be half of one."""


class ServerEvents:
    """Puts lines of a stream together; comments and fields that nobody asks for are left out."""

    def __init__(self) -> None:
        self._event = ""
        self._data: list[str] = []
        self._begun = ""

    def feed(self, text: str) -> Iterator[tuple[str, str]]:
        """Name and data of the events that end with what has come.

        What else Unicode takes for the end of a line, as U+2028 and form feeds are, is text of a log.

        Raises:
            ProblemError: It says why there will be no more of them.
        """
        *lines, self._begun = _ENDING.split(self._begun + text)
        for line in lines:
            yield from self.of(line)

    def of(self, line: str) -> Iterator[tuple[str, str]]:
        """Name and data of the event that ends with this line, if one does.

        Raises:
            ProblemError: It says why there will be no more of them.
        """
        if not line:
            if self._data:
                yield self._event or "message", _checked(self._event, "\n".join(self._data))
            self._event, self._data = "", []
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)


def new_lines(seen: Sequence[str], now: Sequence[str]) -> Sequence[str]:
    """What was written since `seen`, where each is the end of one growing log."""
    for overlap in range(min(len(seen), len(now)), 0, -1):
        if seen[-overlap:] == now[:overlap]:
            return now[overlap:]
    return now


def _checked(event: str, data: str) -> str:
    if event == "problem":
        said = json.loads(data)
        raise ProblemError(said["status"], said["title"], said["detail"])
    return data
