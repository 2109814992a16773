"""Start the service: `python main.py`. Settings are environment variables, see `common/settings/`."""

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Generator

import uvicorn
from pydantic import ValidationError
from pydantic_settings import SettingsError
from starlette.types import Receive, Scope, Send

from app.factory import VERSION, create_app
from app.lifespan import State
from app.start import reasons
from common.errors import StartError
from common.settings.server import ServerSettings
from common.settings.settings import Settings

EXIT_CANNOT_START = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", action="version", version=VERSION)
    parser.parse_args()
    try:
        settings = Settings()
        logging.basicConfig(
            level=settings.server.logging_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        with _listening_socket(settings.server) as listening:
            return asyncio.run(_serve(settings, listening))
    except asyncio.CancelledError:
        return 0  # asked to stop while it started
    except (StartError, SettingsError, ValidationError) as error:
        for reason in reasons(error):
            print(f"Enel Service cannot start: {reason}", file=sys.stderr)
    return EXIT_CANNOT_START


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
        raise StartError(
            f"HOST and PORT: cannot listen on {server.host}:{server.port}: {error.strerror or error}."
        ) from error
    return listening


async def _serve(settings: Settings, listening: socket.socket) -> int:
    app = create_app(settings)
    starting = asyncio.current_task()
    server: _Server | None = None
    running: State = {}

    def stop() -> None:
        if server is not None:
            server.should_exit = True
            running["pretraining"].stop_following()
        elif starting is not None:
            starting.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)

    # Entered here and not by uvicorn, which would bury the reason of a failed start in tracebacks.
    async with contextlib.AsyncExitStack() as stack:
        try:
            state = await stack.enter_async_context(app.router.lifespan_context(app))
        except StartError:
            raise
        except Exception as error:  # whatever it was, there is a line that says so
            raise StartError("; ".join(reasons(error))) from error
        running.update(state or {})

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(running)}, receive, send)

        config = uvicorn.Config(
            with_state,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=5,  # an open event stream must not keep a stopping service alive
        )
        server = _Server(config)
        host, port = listening.getsockname()[:2]
        print(f"Enel Service listens on http://{host}:{port} (API: http://{host}:{port}/docs)", flush=True)
        await server.serve(sockets=[listening])
    return 0


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to `_serve`: uvicorn would raise them again while the rest is cleaned up."""
        yield


if __name__ == "__main__":
    sys.exit(main())
