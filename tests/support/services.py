"""The service in this process, and in one of its own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from asgi_lifespan import LifespanManager

from common.processes.guarded import free_port
from common.settings.group import PROJECT_ROOT
from common.settings.settings import Settings
from tests.support.samples import unique_name


@asynccontextmanager
async def service_in_process(
    mongo_uri: str, data_dir: Path, **training: object
) -> AsyncIterator[httpx.AsyncClient]:
    """A client that knows its service's `database` and `data_dir`; `training` are settings of that group."""
    # Imported here: tests of the lower layers do not need the whole house.
    from app.factory import create_app

    settings = Settings()
    settings.mongo.mongodb_endpoint = mongo_uri
    settings.mongo.mongodb_database = unique_name("service")
    settings.mongo.mongodb_timeout_seconds = 60.0
    settings.server.data_dir = data_dir
    settings.training.training_heartbeat_seconds = 0.5
    for name, value in training.items():
        setattr(settings.training, name, value)
    app = create_app(settings)
    async with LifespanManager(app, startup_timeout=60, shutdown_timeout=60) as manager:
        transport = httpx.ASGITransport(app=manager.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service", timeout=120) as client:
            client.database = settings.mongo.mongodb_database  # type: ignore[attr-defined]
            client.data_dir = data_dir  # type: ignore[attr-defined]
            yield client


class ServiceProcess:
    """`python main.py` as a person starts it, and ways to end it."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    async def kill(self) -> None:
        """As the kernel would: no handler runs."""
        self.process.kill()
        await self.process.wait()

    async def stop(self, number: int = signal.SIGINT) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 60)


PATIENT = {"MONGODB_TIMEOUT_SECONDS": "60"}
"""For machines that stand still now and then; tests of a database that is away say otherwise."""


@asynccontextmanager
async def started_service(data_dir: Path, **environment: str) -> AsyncIterator[ServiceProcess]:
    port = free_port()
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / f"service-{port}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "main.py",
            cwd=PROJECT_ROOT,
            env={**os.environ, **PATIENT, "PORT": str(port), "DATA_DIR": str(data_dir), **environment},
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    service = ServiceProcess(process, f"http://127.0.0.1:{port}", log)
    try:
        async with httpx.AsyncClient(base_url=service.url, timeout=5) as client:
            for _ in range(600):
                assert process.returncode is None, f"the service did not start: {log.read_text()}"
                try:
                    if (await client.get("/readyz")).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
            else:
                pytest.fail(f"the service is not ready: {log.read_text()}")
        yield service
    finally:
        await service.stop()
