"""The only process that speaks with Ray (`python -m prediction.inference.engine.gateway SOCKET CONFIG`).

Beside the service rather than in it: Ray ends a process that is connected to a cluster whose head stays
away, and what replicas return is unpickled here. It connects to the service's UNIX socket, says `ready` or
`failed`, and then carries out what comes, in any order, each message's answer with the same `id`.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import ray

from prediction.inference.engine import applications, cluster, failures, keeper
from prediction.inference.engine.asking import Line, Question
from prediction.inference.engine.deployment import Deployment, DeploymentStatus
from prediction.inference.engine.failures import EngineUnavailable, LoadFailed
from prediction.inference.engine.patience import ACTOR_SECONDS, BRING_SECONDS, END_SECONDS, gateway_seconds
from prediction.inference.engine.streams import wire
from prediction.inference.engine.streams.attending import Attendant
from prediction.inference.engine.streams.wire import Message

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

_POLL_SECONDS = 0.1
_STATUS_SECONDS = 0.5
"""How old an answer about statuses may be for those who only wait."""

OPERATIONS = ("ask", "ping", "load", "unload", "deployments", "describe")
"""What the service may ask for: methods of `Gateway`."""

_ENDED = ("DEPLOY_FAILED", "UNHEALTHY")
_THREADS = 16


class Gateway:
    """Applications of Ray Serve, and those who ask them."""

    def __init__(self, folder: Path | None) -> None:
        """Args:
        folder: For doors of replicas, where the cluster is our own, on this machine; else None.
        """
        self._folder = folder
        self._blocking = ThreadPoolExecutor(_THREADS, thread_name_prefix="ray")
        self._lines: dict[str, Line] = {}
        self._changes: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._deploying = asyncio.Lock()
        """Two threads that deploy make Ray Serve raise: what it changes about pickling is the process's."""
        self._looking: asyncio.Task[dict[str, DeploymentStatus]] | None = None
        self._looked_at = 0.0

    async def ask(self, head: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        seconds = float(head["deadline_seconds"])
        line = self._lines.get(head["name"]) or await self._line(head["name"])
        until = time.monotonic() + gateway_seconds(seconds)
        kind, answer = await line.ask(Question(body, until, seconds), self._count_up)
        if kind != failures.OK:
            raise failures.error_of(kind, answer.decode())
        return {}, answer

    async def ping(self, head: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """That this answers shows that the loop runs."""
        return {}, b""

    async def load(self, head: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        deployment = Deployment.from_described(head["deployment"])
        async with self._changes[deployment.name]:
            is_new = False
            try:
                status = (await self._statuses()).get(deployment.name)
                if status is None or status.status not in ("RUNNING", "DEPLOYING"):
                    is_new = True
                    await self._remove(deployment.name)
                    async with asyncio.timeout(BRING_SECONDS):
                        await self._deploy(deployment)
                async with asyncio.timeout(deployment.load_seconds + ACTOR_SECONDS):
                    return await self._loaded(deployment), b""
            except TimeoutError as error:
                reason = await self._message_of(deployment.name) or "its constructor has not returned"
                await self._remove(deployment.name)
                raise LoadFailed(f"It did not run in time: {reason}") from error
            except BaseException as error:
                if is_new or isinstance(error, LoadFailed):  # what another gateway has loaded stays
                    await self._remove(deployment.name)
                raise

    async def unload(self, head: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        async with self._changes[head["name"]]:
            await self._remove(head["name"])
        return {}, b""

    async def deployments(self, head: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        statuses = await self._statuses()
        return {"deployments": {name: asdict(status) for name, status in statuses.items()}}, b""

    async def describe(self, head: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        line = await self._line(head["name"])
        async with asyncio.timeout(applications.CALL_SECONDS):
            return {"replica": await line.describe.remote()}, b""

    async def _deploy(self, deployment: Deployment) -> None:
        brought = None
        if self._folder is None:
            arguments = (deployment.name, deployment.folder, deployment.environment)
            brought = await self._call(keeper.bring, *arguments)
        async with self._deploying:
            await self._call(applications.deploy, deployment, brought, self._folder)

    async def _loaded(self, deployment: Deployment) -> dict[str, Any]:
        """Wait until each replica has answered a call of ours; returns what they found."""
        status = await self._until_up(deployment.name)
        line = await self._line(deployment.name)
        line.resize(status.replicas)
        answered: dict[str, Any] = {}
        while len(answered) < status.replicas:
            calls = [line.describe.remote() for _ in range(status.replicas)]
            for each in await asyncio.gather(*(_awaited(call) for call in calls)):
                answered[each["replica"]] = each["found"]
                await line.doors.learn(each)
        return {"found": next(iter(answered.values())), "replicas": status.replicas}

    async def _until_up(self, name: str) -> DeploymentStatus:
        """Wait until as many run as there should.

        Raises:
            LoadFailed: They do not start.
        """
        while True:
            status = (await self._statuses()).get(name)
            if status is not None and status.status in _ENDED:
                raise LoadFailed(status.message)
            if status is not None and status.is_healthy:
                return status
            await asyncio.sleep(_POLL_SECONDS)

    async def _remove(self, name: str) -> None:
        """End an application; returns when it is gone. Raises EngineUnavailable: it does not go."""
        if line := self._lines.pop(name, None):
            await line.doors.close()
        try:
            async with asyncio.timeout(END_SECONDS):
                while name in (statuses := await self._statuses()):
                    if statuses[name].status != "DELETING":
                        await self._call(applications.delete, name)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise EngineUnavailable(f"{name} does not end.") from error
        if self._folder is None:
            await self._call(keeper.release, name)

    async def _line(self, name: str) -> Line:
        """Raises EngineUnavailable: there is no such deployment."""
        if name not in self._lines:
            status = (await self._statuses()).get(name)
            if status is None:
                raise EngineUnavailable(f"{name} is not loaded.")
            line = Line(name, has_doors=self._folder is not None)
            line.resize(max(1, status.replicas))
            self._lines.setdefault(name, line)
        return self._lines[name]

    async def _message_of(self, name: str) -> str:
        status = (await self._statuses()).get(name)
        return status.message if status else ""

    async def _statuses(self) -> dict[str, DeploymentStatus]:
        statuses = await self._call(applications.statuses)
        for name in self._lines.keys() & statuses.keys():
            self._lines[name].resize(max(1, statuses[name].replicas))  # whoever has changed it
        return statuses

    async def _count_up(self, name: str) -> int:
        """For many who wait: they share one look."""
        if self._looking is None or time.monotonic() - self._looked_at > _STATUS_SECONDS:
            self._looked_at = time.monotonic()
            self._looking = asyncio.create_task(self._statuses())
        status = (await asyncio.shield(self._looking)).get(name)
        return status.up if status else 0

    async def _call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """A call that blocks, in a thread. Raises EngineUnavailable: Ray does not do it."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._blocking, function, *arguments)
        except Exception as error:
            raise EngineUnavailable(f"{type(error).__name__}: {error}") from error


async def _awaited(response: Any) -> Any:
    return await response


async def main(socket: str, config: Mapping[str, Any]) -> None:
    """Connect to both sides, and attend to the service until it goes or ends this."""
    reader, writer = await asyncio.open_unix_connection(socket, limit=wire.BUFFER_BYTES)
    address: str = config["address"]
    try:
        # Here, in the main thread: Ray would have its signal handlers nowhere else.
        found = cluster.start(address, Path(config["folder"]), config["object_store_bytes"])
    except Exception as error:
        wire.write(writer, Message({"event": "failed", "message": cluster.explained(address, error)}))
        await writer.drain()
        return
    wire.write(writer, Message({"event": "ready", "address": found}))
    gateway = Gateway(None if address else Path(config["folder"]))
    operations = {name: getattr(gateway, name) for name in OPERATIONS}
    attending = asyncio.create_task(Attendant(operations, writer).attend(reader))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, attending.cancel)
    try:
        await attending
    except asyncio.CancelledError:
        logger.info("Told to end")
    ray.shutdown()
    os._exit(0)  # whatever is still being loaded has nobody who waits for it


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
