"""Server-sent events, line by line."""

from collections.abc import Iterator


class ServerEvents:
    """Puts lines of a stream together; comments and fields that nobody asks for are left out."""

    def __init__(self) -> None:
        self._event = ""
        self._data: list[str] = []

    def of(self, line: str) -> Iterator[tuple[str, str]]:
        """Name and data of the event that ends with this line, if one does."""
        if not line:
            if self._data:
                yield self._event or "message", "\n".join(self._data)
            self._event, self._data = "", []
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
