"""What a build writes: bounded, and without the secrets of the index it asks."""

import asyncio
import re
from collections import deque
from collections.abc import Collection

MOST_BYTES = 200_000
_LINE_BYTES = 8_000
_TAIL_LINES = 20
_TAIL_CHARACTERS = 4_000

_USER_INFO = re.compile(r"//[^/\s]*@")
_ERROR = re.compile(r"\bERROR: (.*)")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[^\S \t]|[\x00-\x08\x0e-\x1f\x7f]")


class BuildLog:
    """The last 200 KB of lines."""

    def __init__(self) -> None:
        self._secrets: list[str] = []
        self._lines: deque[str] = deque()
        self._bytes = 0
        self._rest = b""
        self._too_long = False
        self.version = 0
        """Another one after every change."""

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)

    @property
    def tail(self) -> str:
        """The last lines."""
        return "\n".join(list(self._lines)[-_TAIL_LINES:])[-_TAIL_CHARACTERS:]

    @property
    def reason(self) -> str:
        """The line that tells best why a build failed; may be empty."""
        errors = [found[1] for line in self._lines if (found := _ERROR.search(line))]
        telling = [error for error in errors if not error.startswith("ResolutionImpossible")]
        if telling:
            # The last one says which requirement cannot be met; what comes before lists all versions.
            return telling[-1][:1000]
        said = [line for line in self._lines if line.strip()]
        return said[-1].strip()[:1000] if said else ""

    def hide(self, secrets: Collection[str]) -> None:
        """Never show these texts from now on; what stands where a URL has its user never shows anyway."""
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)

    def say(self, line: str) -> None:
        """Add a line of the service's own."""
        self._add(line)

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Add what a process writes until it closes its output."""
        while chunk := await stream.read(65_536):
            self._feed(chunk)
        if self._rest and not self._too_long:
            self._add(self._rest.decode(errors="replace"))
        self._rest = b""

    def _feed(self, chunk: bytes) -> None:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            if not self._too_long:
                self._add(line.decode(errors="replace"))
            self._too_long = False
        if len(self._rest) > _LINE_BYTES:
            if not self._too_long:
                self._add(self._rest.decode(errors="replace"))
            self._rest, self._too_long = b"", True

    def _add(self, line: str) -> None:
        for secret in self._secrets:
            line = line.replace(secret, "***")
        line = _CONTROL.sub("", _USER_INFO.sub("//***@", line))
        if len(line) > _LINE_BYTES:
            line = line[:_LINE_BYTES].rpartition(" ")[0] + " …"  # no half of what would have been masked
        self._lines.append(line)
        self._bytes += len(line.encode()) + 1
        while self._bytes > MOST_BYTES and len(self._lines) > 1:
            self._bytes -= len(self._lines.popleft().encode()) + 1
        self.version += 1
