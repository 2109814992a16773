"""The service as a process of its own, as a person starts it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import MappingProxyType

import httpx

from common.processes import guard
from common.processes.guarded import free_port
from common.settings.group import PROJECT_ROOT

_READY_SECONDS = 180.0
_GRACE_SECONDS = 60.0
"""For a guarded service to end in order."""

_LOG_CHARACTERS = 4000


class NotReady(RuntimeError):
    """The service did not come up; the message ends with what it logged.

    Attributes:
        returncode: It ended with; None where it was not ready in time.
        output: The end of what it logged.
    """

    def __init__(self, returncode: int | None, output: str) -> None:
        late = f"was not ready within {_READY_SECONDS:g} s"
        state = late if returncode is None else f"ended with {returncode}"
        super().__init__(f"The service {state}:\n{output}")
        self.returncode, self.output = returncode, output


class ServiceProcess:
    """A running `main.py`, and ways to end it."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Have it end in order; returns the exit code. A guard listens to SIGTERM alone."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.process.wait()

    async def kill(self) -> None:
        """End it as the kernel would, without a guard: no handler runs."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def started_service(
    folder: Path, environment: Mapping[str, str] = MappingProxyType({}), *, guarded: bool = True
) -> AsyncIterator[ServiceProcess]:
    """A service that is ready; it is stopped in the end.

    Args:
        folder: What it keeps, unless DATA_DIR says otherwise, and its log, `service.log`.
        environment: Settings; others are taken from the caller's environment. HOST is by default
            loopback, PORT a free one.
        guarded: Whether it ends with this process, however that ends. Otherwise `process` is the
            service itself, which can be sent any signal.
    Raises:
        NotReady: It ended, or was not ready in time.
    """
    settings = {"HOST": "127.0.0.1", "PORT": str(free_port()), "DATA_DIR": str(folder), **environment}
    guarding = [sys.executable, guard.__file__, "--grace", f"{_GRACE_SECONDS:g}", "--"] if guarded else []
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    log = folder / "service.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *guarding,
            sys.executable,
            "main.py",
            cwd=PROJECT_ROOT,
            env={**os.environ, **settings},
            # The guard waits for the end of its input, which comes when this process is gone.
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A terminal's Ctrl-C goes to the caller, who stops the service when it is time.
            start_new_session=True,
        )
    service = ServiceProcess(process, f"http://{settings['HOST']}:{settings['PORT']}", log)
    try:
        await _ready(service)
        yield service
    finally:
        await service.stop()


@asynccontextmanager
async def service_process(folder: Path, **environment: str) -> AsyncIterator[str]:
    """The address of a service that logs nothing but warnings; otherwise as `started_service`."""
    async with started_service(folder, {"LOGGING_LEVEL": "WARNING", **environment}) as service:
        yield service.url


@contextmanager
def running_service(folder: Path, **environment: str) -> Iterator[ServiceProcess]:
    """`started_service` for callers without an event loop."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            yield runner.run(stack.enter_async_context(started_service(folder, environment)))
        finally:
            runner.run(stack.aclose())


async def _ready(service: ServiceProcess) -> None:
    answering = asyncio.create_task(_answering(service.url))
    ended = asyncio.create_task(service.process.wait())
    try:
        await asyncio.wait({answering, ended}, timeout=_READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            answering.result()
        else:
            log = await asyncio.to_thread(service.log.read_text, "utf-8", "replace")
            raise NotReady(service.process.returncode, log[-_LOG_CHARACTERS:])
    finally:
        answering.cancel()
        ended.cancel()


async def _answering(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=5, trust_env=False) as client:
        while True:
            try:
                if (await client.get("/readyz")).is_success:
                    return
            except (httpx.TransportError, ExceptionGroup):  # the latter where PORT cannot be one
                pass
            await asyncio.sleep(0.1)
