"""A balancer of TCP connections: each goes to the next replica in turn that takes it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CHUNK_BYTES = 1 << 16


class Balancer:
    """It knows nothing of HTTP, nor of what is ready; a connection that breaks on one side ends on the other.

    Attributes:
        url: Where it listens.
        connections: How many each replica was given, by its port.
    """

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._turn = 0
        self.url = ""
        self.connections: Counter[int] = Counter()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            there = await self._next()
            if there is not None:
                await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))
        writer.close()

    async def _next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """None: no replica takes connections."""
        for _ in self._ports:
            port = self._ports[self._turn % len(self._ports)]
            self._turn += 1
            with contextlib.suppress(ConnectionRefusedError):
                found = await asyncio.open_connection("127.0.0.1", port)
                self.connections[port] += 1
                return found
        return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def balanced(ports: list[int]) -> AsyncIterator[Balancer]:
    """Before replicas on these ports of loopback."""
    balancer = Balancer(ports)
    server = await asyncio.start_server(balancer._serve, "127.0.0.1", 0)
    balancer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield balancer
    finally:
        server.close()
