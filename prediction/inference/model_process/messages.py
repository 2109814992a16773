"""Messages between a model's process and its parent, over one socket: a length, a number, then as many bytes.

An answer has the number of its question. A model has the same descriptors: what it writes there, or a copy of
it that it has forked, is no answer to what somebody else has asked.

Standard library alone: it runs in environments of others, too.
"""

import socket
import struct

HEAD = struct.Struct(">IQ")
"""Bytes of what follows, and the question's number; that of what to run is 0."""


def send(connection: socket.socket, number: int, message: bytes) -> None:
    """Returns when all of it is on its way. Raises OSError: the other end is gone."""
    connection.sendall(HEAD.pack(len(message), number))
    connection.sendall(message)


def receive(connection: socket.socket) -> tuple[int, bytearray] | None:
    """The next message with its number; None when there is none any more. Raises OSError."""
    head = bytearray(HEAD.size)
    if not _fill(connection, head):
        return None
    length, number = HEAD.unpack(head)
    message = bytearray(length)
    return (number, message) if _fill(connection, message) else None


def _fill(connection: socket.socket, buffer: bytearray) -> bool:
    view = memoryview(buffer)
    while view:
        count = connection.recv_into(view)
        if not count:
            return False
        view = view[count:]
    return True
