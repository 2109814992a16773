"""TCP's own signs of life on connections that are silent for long, as those of watches and logs."""

import socket

import aiohttp

_IDLE_SECONDS = 15
_PROBES = 3
"""Without an answer; then the connection is dead."""


def keep_alive(response: aiohttp.ClientResponse) -> None:
    """Let the kernel probe the connection of an answer that goes on.

    A peer that has gone is noticed by that; a proxy that cuts what is idle does not count probes.
    """
    transport = response.connection.transport if response.connection else None
    found = transport.get_extra_info("socket") if transport else None
    if found is None:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": _IDLE_SECONDS, "TCP_KEEPINTVL": _IDLE_SECONDS, "TCP_KEEPCNT": _PROBES}
    for name, value in options.items():
        if hasattr(socket, name):  # not on every system
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
