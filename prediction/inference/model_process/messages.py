"""Messages between a model's process and its parent, over one socket: a length, then as many bytes.

Standard library alone: it runs in environments of others, too.
"""

import socket
import struct

LENGTH = struct.Struct(">I")
"""Of what follows, in bytes."""


def send(connection: socket.socket, message: bytes) -> None:
    """Returns when all of it is on its way. Raises OSError: the other end is gone."""
    connection.sendall(LENGTH.pack(len(message)))
    connection.sendall(message)


def receive(connection: socket.socket) -> bytearray | None:
    """The next message; None when there is none any more. Raises OSError."""
    length = bytearray(LENGTH.size)
    if not _fill(connection, length):
        return None
    message = bytearray(LENGTH.unpack(length)[0])
    return message if _fill(connection, message) else None


def _fill(connection: socket.socket, buffer: bytearray) -> bool:
    view = memoryview(buffer)
    while view:
        count = connection.recv_into(view)
        if not count:
            return False
        view = view[count:]
    return True
