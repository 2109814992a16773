"""Where versions run and answer, as the service sees it: Ray Serve behind a gateway of its own.

Nothing here imports Ray. The gateway starts with the first thing that is to be served, and again after it has
died; whatever was loaded is then loaded again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from prediction.inference.engine import patience
from prediction.inference.engine.deployment import Deployment, DeploymentStatus, Loaded
from prediction.inference.engine.failures import EngineUnavailable
from prediction.inference.engine.gateway_process import GatewayProcess
from prediction.inference.engine.streams.connection import Connection

logger = logging.getLogger(__name__)

_OBJECT_STORE_BYTES = 256 << 20
_START_SECONDS = 120.0

_SILENCE_SECONDS = 1.0
"""After a deadline, until the gateway is asked whether it is there at all."""

_PING_SECONDS = 5.0

_LOOK_SECONDS = 5.0
"""While something takes long, from one look at the gateway to the next; it has a while to answer, since this
machine may be busy with what is loaded."""

_LOOK_PING_SECONDS = 10.0

_CALL_SECONDS = 120.0
"""For what is no load: an end waits for the load before it to be given up."""


@dataclass(frozen=True)
class EngineState:
    """How the engine fares.

    Attributes:
        address: Of the Ray cluster; empty while none is known.
        pid: Of the gateway's guard.
        started_at: Seconds since the epoch.
        deaths: How often a gateway has ended by itself.
        folder: Of the gateway: its log; of a cluster of our own, the token.
    """

    is_running: bool
    address: str
    pid: int | None
    started_at: float | None
    deaths: int
    folder: Path | None


class Engine:
    """Loads versions, and has them answer."""

    def __init__(
        self,
        address: str = "",
        *,
        token: SecretStr | None = None,
        object_store_bytes: int = _OBJECT_STORE_BYTES,
        start_seconds: float = _START_SECONDS,
        load_seconds: Callable[[float], float] = patience.load_seconds,
    ) -> None:
        """Starts nothing yet.

        Args:
            address: Of a Ray cluster that is there, whose applications stay when this ends; empty: one of our
                own on this machine, which ends with us.
            token: Of that cluster, where it wants one and RAY_AUTH_TOKEN_PATH does not name a file with it.
            object_store_bytes: Of a cluster of our own: what requests above 100 KB travel through.
            load_seconds: For how long the gateway may load what itself may take so many seconds.
        """
        self._address = address
        self._token = token or SecretStr("")
        self._object_store_bytes = object_store_bytes
        self._start_seconds = start_seconds
        self._load_seconds = load_seconds
        self._gateway: GatewayProcess | None = None
        self._starting: asyncio.Task[Connection] | None = None
        self._wanted: dict[str, Deployment] = {}
        self._loading_again: dict[str, asyncio.Task[None]] = {}
        self._deaths = 0
        self._is_closed = False

    @property
    def state(self) -> EngineState:
        gateway = self._gateway
        if gateway is None:
            return EngineState(False, self._address, None, None, self._deaths, None)
        return EngineState(
            gateway.is_alive,
            gateway.address,
            gateway.process.pid,
            gateway.started_at,
            self._deaths,
            gateway.folder,
        )

    async def load(self, deployment: Deployment) -> Loaded:
        """Have a version answer; returns when each of its replicas has. Free where it does already.

        Raises:
            LoadFailed: It does not load; nothing of it is left.
            EngineUnavailable: Nobody is there to load it, or it is not known in time whether it does.
        """
        message = await self._call_load(deployment)
        self._wanted[deployment.name] = deployment
        return Loaded(deployment.name, message["replicas"], message["found"])

    async def ask(self, name: str, frame: bytes, deadline_seconds: float) -> bytes:
        """A frame of answers to a frame of rows.

        Raises:
            ModelDied, ModelOverdue, ModelTooLarge: The model's process is gone, and is started again.
            ModelFailed: It does not load any more.
            EngineUnavailable: The engine, or all replicas, are away; to ask again is safe. A gateway that
                hangs is found out soon after the deadline, and another one takes its place.
        """
        if not self._is_needed:
            raise EngineUnavailable(f"{name} is not loaded.")
        began = time.monotonic()
        try:
            async with asyncio.timeout(deadline_seconds):
                connection = await self._connected()
        except TimeoutError as error:
            raise EngineUnavailable("The engine is starting.") from error
        fields = {"name": name, "deadline_seconds": deadline_seconds - (time.monotonic() - began)}
        asking = asyncio.create_task(connection.call("ask", fields, frame))
        try:
            await asyncio.wait({asking}, timeout=deadline_seconds + _SILENCE_SECONDS)
            if not asking.done():
                await self._check_alive(connection)
                left = patience.service_seconds(deadline_seconds) - (time.monotonic() - began)
                await asyncio.wait({asking}, timeout=left)
            if not asking.done():
                raise EngineUnavailable(f"The engine says nothing of what {name} was asked.")
            return asking.result().body
        finally:
            asking.cancel()
            asking.add_done_callback(_looked_at)

    async def bring_back(self, name: str) -> None:
        """Load again what is gone, unless it was ended; all who need it wait for the same attempt."""
        if name in self._wanted and not self._is_closed:
            await asyncio.wait({self._start_again(name)})

    async def unload(self, name: str) -> None:
        """End a version; returns when it is gone. Raises EngineUnavailable."""
        self._wanted.pop(name, None)
        if self._is_needed:
            await self._call("unload", {"name": name})

    def forget(self, name: str) -> None:
        """Load it no more after an end of the engine; it answers others."""
        self._wanted.pop(name, None)

    async def deployments(self) -> dict[str, DeploymentStatus]:
        """What runs in the engine by name, whoever loaded it. Raises EngineUnavailable."""
        if not self._is_needed:
            return {}
        found = (await self._call("deployments", {}))["deployments"]
        return {name: DeploymentStatus(**status) for name, status in found.items()}

    async def describe(self, name: str) -> Mapping[str, Any]:
        """One replica says of itself: `pid`, `model_pid`, `deaths`, `log`, `found`, `deployment`.

        Raises:
            EngineUnavailable: There is none.
        """
        replica: Mapping[str, Any] = (await self._call("describe", {"name": name}))["replica"]
        return replica

    async def stop(self) -> None:
        """End the gateway, with the cluster where that is our own; the next load starts anew."""
        self._wanted.clear()
        for task in (*self._loading_again.values(), *filter(None, [self._starting])):
            task.cancel()
            await asyncio.wait({task})
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            await gateway.stop()

    async def close(self) -> None:
        """The same, for good."""
        self._is_closed = True
        await self.stop()

    async def _check_alive(self, connection: Connection, seconds: float = _PING_SECONDS) -> None:
        """Return where the gateway answers; close the connection of one that hangs, for all who wait for it.

        Raises:
            EngineUnavailable: It does not.
        """
        try:
            async with asyncio.timeout(seconds):
                await connection.call("ping", {})
        except TimeoutError as error:
            logger.error("The engine's gateway hangs")
            await connection.close()
            raise EngineUnavailable("The engine's gateway hangs.") from error

    async def _call_load(self, deployment: Deployment) -> Mapping[str, Any]:
        fields = {"deployment": deployment.described()}
        return await self._call("load", fields, self._load_seconds(deployment.load_seconds))

    async def _call(
        self, op: str, fields: Mapping[str, Any], seconds: float = _CALL_SECONDS
    ) -> Mapping[str, Any]:
        """Have the gateway do something, and look now and then whether it is there at all.

        Raises:
            EngineUnavailable: It has not done it after this time, or hangs.
        """
        connection = await self._connected()
        calling = asyncio.create_task(connection.call(op, fields))
        until = time.monotonic() + seconds
        try:
            while not calling.done():
                await asyncio.wait({calling}, timeout=min(_LOOK_SECONDS, until - time.monotonic()))
                if calling.done():
                    break
                if time.monotonic() >= until:
                    raise EngineUnavailable(f"The engine has not told of {op} after {seconds:g} s.")
                await self._check_alive(connection, _LOOK_PING_SECONDS)
            return calling.result().head
        finally:
            calling.cancel()
            calling.add_done_callback(_looked_at)

    @property
    def _is_needed(self) -> bool:
        """Whether there is, or may be, anything that answers."""
        is_alive = self._gateway is not None and self._gateway.is_alive
        return is_alive or bool(self._address or self._wanted)

    async def _connected(self) -> Connection:
        """A start is for all who wait for it: none of them ends it by going. Raises EngineUnavailable."""
        if self._is_closed:
            raise EngineUnavailable("The engine is closed.")
        if self._gateway is not None and self._gateway.is_alive:
            return self._gateway.connection
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(_looked_at)
        starting = self._starting
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            if starting.cancelled():
                raise EngineUnavailable("The engine was ended.") from None
            raise

    async def _start(self) -> Connection:
        if self._gateway is not None:
            self._deaths += 1
            logger.warning("The engine's gateway has ended; another one takes its place")
            gateway, self._gateway = self._gateway, None
            await gateway.stop()
        self._gateway = await GatewayProcess.start(
            self._address, self._object_store_bytes, self._start_seconds, self._token
        )
        for name in self._wanted:
            self._start_again(name)
        return self._gateway.connection

    def _start_again(self, name: str) -> "asyncio.Task[None]":
        task = self._loading_again.get(name)
        if task is None or task.done():
            task = asyncio.create_task(self._load_again(self._wanted[name]), name=f"{name} again")
            self._loading_again[name] = task
        return task

    async def _load_again(self, deployment: Deployment) -> None:
        try:
            await self._call_load(deployment)
        except Exception as error:  # whoever asks has it tried anew, and is told
            logger.warning("%s is not back yet: %s", deployment.name, error)
        finally:
            if self._loading_again.get(deployment.name) is asyncio.current_task():
                del self._loading_again[deployment.name]


def _looked_at(task: "asyncio.Task[Any]") -> None:
    """Who waited for it may be gone; the next call tries again, and reports it."""
    if not task.cancelled():
        task.exception()
