"""A short way to replicas on this machine: a UNIX socket each, beside Ray Serve's own way to them.

A call of Ray Serve's passes two routers and gRPC, which takes several milliseconds on a busy core, about a
tenth of what a large network computes. Ray goes on to start, watch, count and end replicas; only frames go
past it, and where a door is missing or breaks they go Ray's way. `benchmarks/serving.py` measures it.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prediction.inference.engine.failures import EngineUnavailable
from prediction.inference.engine.streams import wire
from prediction.inference.engine.streams.attending import Attendant, Operation
from prediction.inference.engine.streams.connection import Connection


class DoorClosed(Exception):
    """Nobody is behind this door any more; whether a frame was answered is not known."""


class Door:
    """A replica's: it listens as long as this is referred to."""

    def __init__(self, server: asyncio.Server, socket: str) -> None:
        self._server = server  # uvloop, which Ray Serve brings, closes one that nobody refers to
        self.socket = socket

    @classmethod
    async def open(cls, folder: str, replica: str, ask: Operation) -> "Door | None":
        """Listen for frames; None where no socket can be made, as of too long a path.

        Args:
            folder: Of our own user alone, on this machine.
            ask: What each connection may ask for.
        """

        async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await Attendant({"ask": ask}, writer).attend(reader)
            finally:
                writer.close()

        socket = str(Path(folder, f"{replica}.sock"))
        try:
            return cls(await asyncio.start_unix_server(attend, socket, limit=wire.BUFFER_BYTES), socket)
        except OSError:
            return None


class Doors:
    """The doors of one deployment's replicas, as far as they are known."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}
        self._asked: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._connections)

    async def learn(self, described: Mapping[str, Any]) -> None:
        """Knock at the door of a replica that has described itself; free where it is known."""
        replica, socket = described["replica"], described.get("door")
        if socket is None or replica in self._connections:
            return
        with contextlib.suppress(OSError):
            streams = await asyncio.open_unix_connection(socket, limit=wire.BUFFER_BYTES)
            connection = Connection(*streams)
            if self._connections.setdefault(replica, connection) is not connection:
                await connection.close()
            self._asked.setdefault(replica, 0)

    def free(self, most: int) -> str | None:
        """The replica that has been asked the least at present; None: each has as many as `most`."""
        for replica, connection in list(self._connections.items()):
            if not connection.is_open:
                del self._connections[replica], self._asked[replica]
        least = min(self._asked.items(), key=lambda each: each[1], default=None)
        return least[0] if least is not None and least[1] < most else None

    async def ask(self, replica: str, fields: Mapping[str, Any], frame: bytes) -> tuple[str, bytes]:
        """What a replica answers. Raises DoorClosed."""
        connection = self._connections[replica]
        self._asked[replica] += 1
        try:
            message = await connection.call("ask", fields, frame)
        except EngineUnavailable as error:
            raise DoorClosed(str(error)) from error
        finally:
            if replica in self._asked:
                self._asked[replica] -= 1
        return message.head["kind"], message.body

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.close()
