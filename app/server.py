"""The running service: its lifespan around uvicorn's, which would bury the reason of a failed start."""

import contextlib
import gc
import socket
import sys
from collections.abc import Generator

import uvicorn
from starlette.types import Receive, Scope, Send

from app.connections import PatientProtocol
from app.factory import create_app
from app.signals import on_signals
from app.start import told_why
from app.wiring.storage import Storage
from common.settings.group import bundled
from common.settings.settings import Settings

_SWITCH_SECONDS = 0.001
"""For which a thread with a large report may hold the interpreter: the event loop, which lets go of it with
each call to the system, waits that long every time before it goes on."""


async def serve(settings: Settings, listening: socket.socket, storage: Storage) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        StartError: Something that is configured cannot be used.
        asyncio.CancelledError: It was asked to stop while it started.
    """
    app = create_app(settings, storage)
    async with contextlib.AsyncExitStack() as stack:
        with told_why():
            state = await stack.enter_async_context(app.router.lifespan_context(app))
        assert state is not None, "the lifespan of this application has one"
        sys.setswitchinterval(_SWITCH_SECONDS)
        gc.freeze()  # what stays to the end is looked through no more, which would hold up answers
        gc.enable()

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state)}, receive, send)

        config = uvicorn.Config(
            with_state,
            log_config=None,
            access_log=False,
            lifespan="off",
            http=PatientProtocol,  # by h11: httptools, which Ray Serve brings along, answers in other ways
            ws="none",
            timeout_graceful_shutdown=5,  # an open event stream must not keep a stopping service alive
        )
        server = _Server(config)

        def stop() -> None:
            server.should_exit = True
            state["service"].stopping.set()

        on_signals(stop)
        host, port = listening.getsockname()[:2]
        url = f"http://{host}:{port}"
        sys.stdout.write(_what_next(url))
        sys.stdout.flush()
        await server.serve(sockets=[listening])


def _what_next(url: str) -> str:
    """For whoever started it."""
    example = bundled("examples/submissions/kmeans.json")
    return (
        f"Enel Service listens on {url} (API: {url}/docs)\n"
        f"  submit:  enel --url {url} submit {example}\n"
        f"  or:      curl -s {url}/submission/submit -H 'content-type: application/json' -d @{example}\n"
        f"  look:    enel --url {url} applications list\n"
        "  check:   enel doctor\n"
    )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to `serve`: uvicorn would raise them again while the rest is cleaned up."""
        yield
