"""The service as a process of its own, as a person starts it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from common.processes.guarded import GuardedProcess, free_port
from common.settings.group import PROJECT_ROOT

_READY_SECONDS = 180.0
_LOG_CHARACTERS = 2000


class NotReady(RuntimeError):
    """The service did not come up; the message ends with what it logged."""


@asynccontextmanager
async def service_process(folder: Path, **environment: str) -> AsyncIterator[str]:
    """Start `main.py` on a free port and yield its address when it is ready; stop it in the end.

    Args:
        folder: What it keeps, and its log, `service.log`.
        environment: Settings; others are taken from the caller's environment.
    Raises:
        NotReady: It ended, or was not ready in time.
    """
    port = free_port()
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    log = folder / "service.log"
    with log.open("wb") as output:
        process = await GuardedProcess.start(
            sys.executable,
            "main.py",
            cwd=PROJECT_ROOT,
            env={
                **os.environ,
                "HOST": "127.0.0.1",
                "PORT": str(port),
                "DATA_DIR": str(folder),
                "LOGGING_LEVEL": "WARNING",
                **environment,
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        await _ready(url, process, log)
        yield url
    finally:
        await process.stop()


async def _ready(url: str, process: GuardedProcess, log: Path) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=5, trust_env=False) as client:
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while process.returncode is None:
                    try:
                        if (await client.get("/readyz")).status_code == 200:
                            return
                    except httpx.TransportError:
                        pass
                    await asyncio.sleep(0.2)
                state = f"ended with {process.returncode}"
        except TimeoutError:
            state = f"was not ready within {_READY_SECONDS:g} s"
    said = (await asyncio.to_thread(log.read_text, "utf-8", "replace"))[-_LOG_CHARACTERS:]
    raise NotReady(f"The service {state}:\n{said}")
