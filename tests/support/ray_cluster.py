"""A Ray cluster of one or two nodes on this machine, which wants a token."""

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from common.processes.guarded import GuardedProcess, free_port
from tests.support.left_processes import command_line

_HEAD, _OTHER = "127.0.0.2", "127.0.0.3"
_TRIAL = "ray::ResourceTrainable"
"""What Ray calls processes of actors that carry trials out."""

_START_SECONDS = 120.0


@dataclass
class RayCluster:
    """Nodes, and how they are entered.

    Attributes:
        address: Of the head.
        token_file: 0600; holds what the cluster wants to see.
        nodes: Guards of the nodes' processes, the head's first.
    """

    address: str
    token_file: Path
    nodes: list[GuardedProcess]

    @property
    def token(self) -> str:
        return self.token_file.read_text()

    @property
    def settings(self) -> dict[str, str]:
        """Of a service that uses it."""
        return {"RAY_ADDRESS": self.address, "RAY_AUTH_TOKEN": self.token}

    @property
    def variables(self) -> dict[str, str]:
        """Of a process of Ray's that enters it."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token_file)}

    def trials(self, node: int) -> list[int]:
        """Process ids of a node's actors that train; none of one that was stopped."""
        if self.nodes[node].returncode is not None:
            return []
        found = psutil.Process(self.nodes[node].pid).children(recursive=True)
        return [each.pid for each in found if _TRIAL in " ".join(command_line(each))]

    async def no_trials(self) -> bool:
        """Whether all such actors end, which takes a moment."""
        for _ in range(300):
            if not any(self.trials(node) for node in range(len(self.nodes))):
                return True
            await asyncio.sleep(0.1)
        return False


@asynccontextmanager
async def ray_cluster(cpus: int, *, nodes: int = 1) -> AsyncIterator[RayCluster]:
    """Each node has so many processors, as Ray counts them, and a loopback address of its own."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # UNIX sockets below it have 107 bytes
    token_file = folder / "token"
    token_file.write_text(secrets.token_hex(32))
    token_file.chmod(0o600)
    port = free_port(_HEAD)
    cluster = RayCluster(f"{_HEAD}:{port}", token_file, [])

    async def start(host: str, *options: str) -> GuardedProcess:
        return await GuardedProcess.start(
            *(str(Path(sys.executable).with_name("ray")), "start", "--block", *options),
            *(f"--node-ip-address={host}", f"--temp-dir={folder / host.rpartition('.')[2]}"),
            *("--disable-usage-stats", f"--num-cpus={cpus}", "--object-store-memory=100000000"),
            env={**os.environ, **cluster.variables},
        )

    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        head = await start(_HEAD, "--head", f"--port={port}", "--include-dashboard=false")
        stack.push_async_callback(head.stop)
        cluster.nodes.append(head)
        async with asyncio.timeout(_START_SECONDS):
            while not await _is_open(port):
                await asyncio.sleep(0.1)
            if nodes > 1:
                other = await start(_OTHER, f"--address={cluster.address}")
                stack.push_async_callback(other.stop)
                cluster.nodes.append(other)
            # Its sockets are there once a node takes work.
            while len(list(folder.glob("*/session_*/sockets/raylet"))) < nodes:
                await asyncio.sleep(0.1)
        yield cluster


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(_HEAD, port)
    except OSError:
        return False
    writer.close()
    return True
