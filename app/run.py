"""The service as a program: settings, logging, a port, and why it cannot start."""

import asyncio
import errno
import gc
import importlib
import socket
import sys
from contextlib import AsyncExitStack
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from app.hidden_secrets import forget_settings, hide_secrets
from app.logs import set_up_logging
from app.signals import on_signals
from app.start import reasons, told_why
from app.wiring.ground import open_ground
from common.errors import StartError
from common.settings.server import ServerSettings
from common.settings.settings import Settings

EXIT_CANNOT_START = 2


def run(**server: Any) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code.

    Args:
        server: Settings of that group which the environment does not decide, such as `port`.
    """
    gc.disable()  # nothing that is imported is garbage; `serve` enables it again
    try:
        hide_secrets()
        settings = Settings(server=ServerSettings(**server))
        forget_settings()
        _ = settings.access_by_tokens  # raises where no setting says who may do what
        _ = settings.callback_address  # raises where drivers could not report
        set_up_logging(settings.server.logging_level, settings.server.log_format)
        with _listening_socket(settings.server) as listening:
            asyncio.run(_serve(settings, listening))
        return 0
    except asyncio.CancelledError:
        return 0  # asked to stop while it started
    except (StartError, SettingsError, ValidationError) as error:
        for reason in reasons(error):
            sys.stderr.write(f"Enel Service cannot start: {reason}\n")
    finally:
        gc.enable()  # for whoever goes on in this process
    return EXIT_CANNOT_START


async def _serve(settings: Settings, listening: socket.socket) -> None:
    """Open folder, database and what is stored while most of the code is still being imported.

    Each takes about half a second, nearly all of it waiting for a disk.
    """
    starting = asyncio.current_task()
    assert starting is not None, "a coroutine runs in a task"
    on_signals(starting.cancel)
    importing = asyncio.create_task(asyncio.to_thread(importlib.import_module, "app.server"))
    async with AsyncExitStack() as stack:
        with told_why():
            ground = await stack.enter_async_context(open_ground(settings))
            storing = await asyncio.to_thread(importlib.import_module, "app.wiring.storage")
            storage = await stack.enter_async_context(storing.open_storage(settings, ground))
        server = await importing
        await server.serve(settings, listening, storage)


def _listening_socket(server: ServerSettings) -> socket.socket:
    """Taken before anything is started, so that a port in use costs nothing."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)[0]
        # The protocol is named because asyncio switches Nagle's algorithm off only where it is; with
        # it on, every answer waits 40 ms for an acknowledgement.
        listening = socket.socket(family, kind, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        setting = "PORT" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "HOST"
        raise StartError(
            f"{setting}: cannot listen on {server.host}:{server.port}: {error.strerror or error}."
        ) from error
    return listening
