"""Messages between the service and its gateway: a head in JSON and a body, each after its length."""

import asyncio
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BUFFER_BYTES = 4 << 20
"""Of a stream: less would stop and start the reading of a batch of pictures again and again."""

MOST_BYTES = 1 << 30
"""Of one message's head or body."""

_LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class Message:
    head: Mapping[str, Any]
    body: bytes = b""


async def read(reader: asyncio.StreamReader) -> Message | None:
    """The next message; None when the other side has closed, or died half-way."""
    try:
        head = json.loads(await _piece(reader))
        return Message(head, await _piece(reader))
    except (asyncio.IncompleteReadError, OSError):
        return None


def write(writer: asyncio.StreamWriter, message: Message) -> None:
    """Whole messages at once, so that those of several tasks never mix; wait with `writer.drain()`."""
    head = json.dumps(message.head).encode()
    writer.write(b"".join([_LENGTH.pack(len(head)), head, _LENGTH.pack(len(message.body))]))
    if message.body:
        writer.write(message.body)


async def _piece(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > MOST_BYTES:
        raise OSError(f"a message of {length:,} bytes")
    return await reader.readexactly(length) if length else b""
