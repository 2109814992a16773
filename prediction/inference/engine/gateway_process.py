"""The gateway as a child of the service: it ends with the service, and a cluster of its own with it."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from common.processes import ray_access
from common.processes.children import tail
from common.processes.environment import computing_environment
from common.processes.guarded import GuardedProcess
from common.processes.private_files import open_private
from prediction.inference.engine import folder as folders
from prediction.inference.engine.failures import EngineUnavailable
from prediction.inference.engine.streams import wire
from prediction.inference.engine.streams.connection import Connection

_ROOT = Path(__file__).resolve().parents[3]
_GRACE_SECONDS = 5.0
_GATEWAY = "prediction.inference.engine.gateway"
"""By its name: importing it would import Ray."""


@dataclass
class GatewayProcess:
    """A gateway that is ready.

    Attributes:
        address: Of its Ray cluster.
        folder: Private; holds the log, and the token and the files of a cluster of its own.
    """

    process: GuardedProcess
    connection: Connection
    folder: Path
    address: str
    started_at: float

    @classmethod
    async def start(
        cls, address: str, object_store_bytes: int, start_seconds: float, token: SecretStr
    ) -> Self:
        """Start it.

        Args:
            address: Of a cluster that is there; empty starts one.
            token: Of that cluster, where it is given as such.
        Raises:
            EngineUnavailable: It is not ready in time, or cannot be.
        """
        folder = await asyncio.to_thread(folders.make, token.get_secret_value())
        config = {"address": address, "folder": str(folder), "object_store_bytes": object_store_bytes}
        socket, log = folder / "gateway.sock", folder / "gateway.log"
        connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
        connected = asyncio.get_running_loop().create_future()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not connected.done():
                connected.set_result((reader, writer))

        server = await asyncio.start_unix_server(accept, socket, limit=wire.BUFFER_BYTES)
        with open_private(log) as output:
            process = await GuardedProcess.start(
                *(sys.executable, "-m", _GATEWAY, str(socket), json.dumps(config)),
                stdout=output,
                stderr=output,
                env=_variables(address, folder, has_token=bool(token.get_secret_value())),
                cwd=_ROOT,
                grace_seconds=_GRACE_SECONDS,
            )
        try:
            async with asyncio.timeout(start_seconds):
                reader, writer, found = await _ready(process, connected, log)
        except BaseException as error:
            await process.stop()
            await asyncio.to_thread(folders.remove, folder)
            if isinstance(error, TimeoutError):
                where = f", nor answer at {address}" if address else ""
                raise EngineUnavailable(
                    f"The engine did not start within {start_seconds:g} s{where}."
                ) from error
            raise
        finally:
            server.close()
        return cls(process, Connection(reader, writer), folder, found, time.time())

    @property
    def is_alive(self) -> bool:
        return self.connection.is_open and self.process.returncode is None

    async def stop(self) -> None:
        """End it, with the cluster where that is its own, and remove the folder."""
        with contextlib.suppress(OSError):
            await self.connection.close()
        await self.process.stop()
        await asyncio.to_thread(folders.remove, self.folder)


async def _ready(
    process: GuardedProcess,
    connected: "asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]",
    log: Path,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
    """Wait for its first message. Raises EngineUnavailable: it has ended, or says that it cannot."""
    ended = asyncio.create_task(process.wait())
    either: tuple[asyncio.Future[Any], ...] = (connected, ended)
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if connected.done():
            reader, writer = connected.result()
            message = await wire.read(reader)
            if message is not None and message.head["event"] == "ready":
                return reader, writer, message.head["address"]
            writer.close()
            if message is not None:
                raise EngineUnavailable(f"The engine does not start: {message.head['message']}")
        output = await asyncio.to_thread(tail, log)
        raise EngineUnavailable(f"The engine's gateway ended while it started. {output}")
    finally:
        ended.cancel()


def _variables(address: str, folder: Path, *, has_token: bool) -> Mapping[str, str]:
    variables = computing_environment()
    if address:
        variables |= ray_access.given()
    else:
        variables = {name: value for name, value in variables.items() if not name.startswith("RAY_")}
    if has_token or not address:
        variables |= ray_access.by_file(folders.token_file(folder))
    return variables | {
        "PYTHONPATH": str(_ROOT),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_SERVE_LOG_TO_STDERR": "0",
        "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(wire.MOST_BYTES),  # of answers, for the gateway
    }
