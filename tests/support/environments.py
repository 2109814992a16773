"""Environments of a test: what builds them, and whether an index answers."""

import asyncio
import functools
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from common.instruments import Instruments
from common.models.artifacts import ArtifactStore
from common.mongo.types import Client
from common.settings.environments import EnvironmentSettings
from submission.environments.builder import EnvironmentBuilder
from submission.environments.cache import EnvironmentCache
from submission.environments.documents import Environment, EnvironmentState
from submission.environments.environments import Environments
from submission.environments.log import BuildLog
from submission.environments.packed import PART_BYTES, PackedFiles
from submission.environments.repository import EnvironmentRepository
from tests.support.samples import unique_name

SMALL = b"humanize==4.10.0\n"
"""One wheel without dependencies, in Python alone."""

HEARTBEAT_SECONDS = 0.2

IN_PROGRESS = (EnvironmentState.WAITING, EnvironmentState.BUILDING)


@functools.cache
def why_no_index() -> str:
    """Empty where pip's configuration of this machine names an index that has the small package."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        done = subprocess.run(
            [*command, "--retries", "0", SMALL.decode().strip()], capture_output=True, text=True, check=False
        )
    return "" if done.returncode == 0 else f"no index of packages answers: {done.stderr.strip()[-200:]}"


class Made(Environments):
    """Environments with what they are made of."""

    def __init__(
        self,
        mongo: Client,
        database: str,
        store: ArtifactStore,
        folder: Path,
        part_bytes: int = PART_BYTES,
        **settings: object,
    ) -> None:
        self.instruments = Instruments()
        self.packed = PackedFiles(store, part_bytes)
        self.folder = folder
        given = EnvironmentSettings.model_validate(settings)
        repository = EnvironmentRepository(mongo, database)
        self.builder = EnvironmentBuilder(
            repository, self.packed, given, folder, HEARTBEAT_SECONDS, self.instruments
        )
        most = given.environment_cache_bytes
        self.cache = EnvironmentCache(repository, self.packed, most, self.instruments, left_seconds=0.0)
        super().__init__(repository, self.builder, self.cache, self.packed)

    async def ended(self, environment_id: str, *among: EnvironmentState) -> Environment:
        """Once it is in one of these states; by default in whatever a build ends with."""
        while True:
            environment = await self.get(environment_id)
            if environment.state in (among or (EnvironmentState.READY, EnvironmentState.FAILED)):
                return environment
            await asyncio.sleep(0.05)

    async def packed_file(self, environment: Environment, path: Path) -> Path:
        """The packed file, as executors get it."""
        with path.open("wb") as file:
            async for piece in self.stream(environment):
                file.write(piece)
        path.chmod(0o755)
        return path


Make = Callable[..., Made]
"""Settings as keywords; every call is a service of its own."""


@asynccontextmanager
async def silent_index() -> AsyncIterator[str]:
    """The URL of an index that takes requests and never answers."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://ada:hunter2secret@127.0.0.1:{port}/simple"
    finally:
        server.close()


async def failed_environment(repository: EnvironmentRepository) -> Environment:
    """One for a platform that no service here builds for."""
    given = Environment(
        id=unique_name("environment"),
        requirements=["humanize==4.10.0"],
        python_version="3.11",
        platform=unique_name("platform"),
    )
    await repository.store(given)
    claimed = await repository.claim("elsewhere/1/0@0", given.python_version, given.platform)
    assert claimed is not None
    log = BuildLog()
    log.say("ERROR: no index")
    reason = "no index"
    assert await repository.finish(claimed, EnvironmentState.FAILED, log, state_reason=reason)
    return claimed
