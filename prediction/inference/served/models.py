"""All models that one service serves: which are awake, what people change, and what that leads to here."""

import asyncio
import logging
import time

from pymongo.errors import PyMongoError

from common.loops import Loop
from common.models.registry import ModelRegistry, RegisteredModelNotFound
from common.models.versions import PROGRAM_KIND, PROGRAM_SYSTEM, RegisteredModel, model_name
from prediction.inference.engine.engine import Engine
from prediction.inference.served.documents import ServedModel, ServingOptions
from prediction.inference.served.files import LocalFiles
from prediction.inference.served.leases import LEASE_SECONDS
from prediction.inference.served.loading import Loading
from prediction.inference.served.model_server import ModelServer
from prediction.inference.served.repository import ModelEnded, ServedModelRepository
from prediction.inference.served.room import Room

logger = logging.getLogger(__name__)

_TURN_SECONDS = 1.0
_ROOM_SECONDS = 600.0


class ServedModels:
    """Of one service; each follows the same stored models."""

    def __init__(
        self,
        repository: ServedModelRepository,
        registry: ModelRegistry,
        engine: Engine,
        loading: Loading,
        files: LocalFiles,
        *,
        most_models: int,
        engine_idle_seconds: float,
    ) -> None:
        self.repository = repository
        self.registry = registry
        self.engine = engine
        self._loading = loading
        self._files = files
        self._engine_idle_seconds = engine_idle_seconds
        self._servers: dict[str, ModelServer] = {}
        self._falling_asleep: set[asyncio.Task[None]] = set()
        self._turns = 0
        self._needed_at = time.monotonic()
        self._room = Room(loading, most_models, lambda: self.awake)

    def known(self, model: str) -> ModelServer | None:
        """What is served here since somebody asked it; None: nobody did."""
        return self._servers.get(model)

    @property
    def awake(self) -> list[ModelServer]:
        """Those that have something loaded."""
        return [each for each in self._servers.values() if each.roles]

    async def named(self, name: str) -> RegisteredModel:
        """A model of programs by its name, in full or without what all of them have in common.

        Raises:
            RegisteredModelNotFound: There is none.
        """
        try:
            return await self.registry.get_model(name)
        except RegisteredModelNotFound as error:
            full = model_name(PROGRAM_SYSTEM, name, PROGRAM_KIND)
            found = await self.registry.find_model(full)
            if found is None and name.startswith(f"{PROGRAM_SYSTEM}.") and name.endswith(f".{PROGRAM_KIND}"):
                raise error from None  # it was the full one already
            if found is None:
                raise RegisteredModelNotFound(
                    f"There is no model {name[:200]!r}, nor {full[:250]!r}."
                ) from None
            return found

    async def server(self, model: str) -> ModelServer:
        """What answers for a model that is served. Raises ModelNotServed or ModelEnded."""
        known = self._servers.get(model)
        if known is not None:
            return known
        if (ended := await self.repository.find_ended(model)) is not None:
            raise ModelEnded(ended)
        return self._serve(await self.repository.get(model))

    async def put(self, model: str, options: ServingOptions, by: str | None) -> ServedModel:
        """Serve a model so from now on, in all services; this one sees it at once."""
        stored = await self.repository.put(model, options, by)
        self._serve(stored)
        return stored

    async def put_defaults(self, model: str, by: str | None) -> ServedModel:
        """Serve a model with defaults where it never was served. Raises ModelEnded."""
        stored = await self.repository.put_defaults(model, by)
        self._serve(stored)
        return stored

    async def end(self, model: str, by: str | None) -> bool:
        """Serve a model no more, in all services; whether it was. What is loaded ends meanwhile."""
        was_served = await self.repository.end(model, by)
        if (server := self._servers.pop(model, None)) is not None:
            self._start_sleep(server, for_good=True)
        return was_served

    def loops(self) -> list[Loop]:
        """To run while the service does; no turn of one holds up another."""
        return [
            Loop("served models", self.turn, _TURN_SECONDS),
            Loop("leases of served models", self._loading.renew_leases, LEASE_SECONDS / 4),
            Loop("what died services have left", self._loading.end_abandoned, LEASE_SECONDS / 2),
        ]

    async def turn(self) -> None:
        """Follow what is stored, load and end what has changed, and let sleep what nobody asks."""
        await self._follow()
        for server in list(self._servers.values()):
            if server.is_to_sleep(time.monotonic()):
                logger.info("%s was not asked for a while: its replicas end", server.name)
                self._start_sleep(server)
                continue
            server.start_turn()  # not waited for: loading one takes a while, and others have their own
        await self._rest()

    async def close(self) -> None:
        """End all that is loaded, here and for this service."""
        sleeping = (server.sleep(for_good=True) for server in self._servers.values())
        await asyncio.gather(*sleeping, *self._falling_asleep, return_exceptions=True)
        await self._loading.close()
        await self.engine.close()

    # --- within ---------------------------------------------------------------------------------------

    def _serve(self, stored: ServedModel) -> ModelServer:
        known = self._servers.get(stored.model)
        if known is not None:
            known.served = stored
            return known
        server = ModelServer(
            stored.model, stored, self.registry, self._loading, self._room.of, self.repository.note_good
        )
        self._servers[stored.model] = server
        return server

    async def _follow(self) -> None:
        if not self._servers:
            return
        followed = dict(self._servers)  # who comes meanwhile is not among what is read
        try:
            stored = await self.repository.many(followed)
        except PyMongoError as error:  # what serves goes on
            for server in followed.values():
                server.registry_is_away = str(error)[:200]
            raise
        for name, server in followed.items():
            if name in stored:
                server.served = stored[name]
            elif self._servers.get(name) is server:
                del self._servers[name]
                self._start_sleep(server, for_good=True)

    def _start_sleep(self, server: ModelServer, *, for_good: bool = False) -> None:
        """Not waited for: it answers what it was asked, and others have their turns meanwhile."""
        task = asyncio.create_task(server.sleep(for_good=for_good), name=f"{server.name} falls asleep")
        self._falling_asleep.add(task)
        task.add_done_callback(self._falling_asleep.discard)

    async def _rest(self) -> None:
        """What is worth doing now and then."""
        self._turns += 1
        now = time.monotonic()
        if self.awake or any(server.is_changing for server in self._servers.values()):
            self._needed_at = now
        elif self.engine.state.is_running and now - self._needed_at > self._engine_idle_seconds:
            logger.info("No model is in memory: the engine ends until one is asked")
            await self.engine.stop()
        if self._turns % int(_ROOM_SECONDS / _TURN_SECONDS) == 1:
            for gone in await self._files.make_room():
                logger.info("%s makes room on the disk", gone)
