"""One model in one service: which of its versions answer now, and the change to others.

A version that is to answer is loaded beside the one that does, asked by a probe, and only then takes over;
the one before answers what it was asked and ends. One that does not load changes nothing but what is told.
"""

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pymongo.errors import PyMongoError

from common.errors import ServiceError
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion, RegisteredModel, VersionState
from prediction.inference.records.documents import Role
from prediction.inference.served.beside import Beside
from prediction.inference.served.documents import ServedModel, ServingOptions, VersionOrAlias
from prediction.inference.served.kinds import VersionNotServable
from prediction.inference.served.loading import LoadedVersion, Loading
from prediction.inference.served.readiness import Failure, NotReady, ServerState, StillLoading, TooManyModels

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 20.0
"""After a version did not load, until it is tried again; at once where another one is to answer."""

_FORGOTTEN_SECONDS = 60.0
"""After the last question to a model of which nothing loads."""


class ModelServer:
    """What serves is changed by one task at a time, what is beside it by another; questions are answered."""

    def __init__(
        self,
        name: str,
        served: ServedModel,
        registry: ModelRegistry,
        loading: Loading,
        room: Callable[[str], AbstractAsyncContextManager[None]],
        note_good: Callable[[str, int], Awaitable[None]],
    ) -> None:
        """Args:
        room: Entered while anything of a model is loaded, so that there are not too many; it may wait, and
            raise TooManyModels.
        note_good: Told which version has come to answer.
        """
        self.name = name
        self.served = served
        self._registry = registry
        self._loading = loading
        self._room = room
        self._note_good = note_good
        self._roles: dict[Role, LoadedVersion] = {}
        self._failures: dict[Role, Failure] = {}
        self._unnamed: dict[Role, VersionOrAlias] = {}
        """Aliases that the options name, and no version has."""
        self._change = asyncio.Lock()
        self._beside = Beside(name, self._let_beside)
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_awake = False
        self._is_over = False
        self._turn: asyncio.Task[None] | None = None
        self._why_not: ServiceError | None = None
        self._askers = 0
        self.asked_at = time.monotonic()
        self.registry_is_away = ""
        """Why the registry says nothing now; what served last goes on."""

    @property
    def options(self) -> ServingOptions:
        return self.served.options

    @property
    def state(self) -> ServerState:
        """Of what answers here."""
        if Role.PRIMARY in self._roles:
            return ServerState.READY
        if Role.PRIMARY in self._failures:
            return ServerState.FAILED
        return ServerState.LOADING if self._change.locked() else ServerState.ASLEEP

    @property
    def roles(self) -> dict[Role, LoadedVersion]:
        """What answers as what."""
        return dict(self._roles)

    @property
    def notes(self) -> list[str]:
        """What whoever is answered has to know."""
        found = [
            f"version {failure.version} does not load: {failure.why}" for failure in self._failures.values()
        ]
        canary = self._roles.get(Role.CANARY)
        if canary is not None and canary.batcher.breaker.is_open:
            found.append(
                f"version {canary.version.version}, the canary, fails too often; it rests for a while"
            )
        for role, alias in self._unnamed.items():
            found.append(f"no version is {alias}, which is to answer as {role}")
        if self.registry_is_away:
            found.append(
                f"the registry does not answer; the version that served last does: {self.registry_is_away}"
            )
        if self._roles and self._loading.lease_problem:
            found.append(self._loading.lease_problem)
        return found

    def is_to_sleep(self, now: float) -> bool:
        """Whether nobody has asked it for as long as its options say.

        Args:
            now: By `time.monotonic`.
        """
        idle = self.options.idle_seconds
        if self.is_changing or not self.is_idle:
            return False
        if not self._roles:  # nothing loads: it is looked at again when somebody asks
            return self._is_awake and now - self.asked_at > _FORGOTTEN_SECONDS
        return idle is not None and now - self.asked_at > idle

    @property
    def is_changing(self) -> bool:
        """Whether something is being loaded."""
        return self._change.locked() or self._beside.is_changing

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for an answer, nor for the model."""
        return not self._askers and all(loaded.batcher.is_idle for loaded in self._roles.values())

    @asynccontextmanager
    async def asking(
        self,
        patience_seconds: float,
        wanted: VersionOrAlias | None = None,
        caller: str = "",
        *,
        may_be_canary: bool = True,
    ) -> AsyncIterator[tuple[Role, LoadedVersion]]:
        """What is to answer a question: the version that serves or, for a share, the canary.

        Args:
            wanted: One of those that are loaded, by its number or as the options name it.
            caller: Who asks: a canary that fails too often is not asked by them meanwhile.
            may_be_canary: Whether the canary may be chosen, where none is wanted.
        Raises:
            NotReady: No version does, and why.
            StillLoading: None does within the patience.
            VersionNotServable: The one that is wanted is not loaded.
            ModelVersionNotFound: There is none of this number.
        """
        self._askers += 1
        try:
            if Role.PRIMARY not in self._roles:
                await self._wake(patience_seconds)
            if wanted is not None:
                role = await self._role_of(wanted, patience_seconds)
            else:
                role = self._chosen(caller) if may_be_canary else Role.PRIMARY
            loaded = self._roles[role]
            with loaded.being_asked():
                yield role, loaded
        finally:
            self._askers -= 1
            self.asked_at = time.monotonic()

    def _chosen(self, caller: str) -> Role:
        canary, loaded = self.options.canary, self._roles.get(Role.CANARY)
        if canary is None or loaded is None or loaded.batcher.breaker.is_closed_for(caller):
            return Role.PRIMARY
        return Role.CANARY if random.random() < canary.share else Role.PRIMARY

    async def _role_of(self, wanted: VersionOrAlias, patience_seconds: float) -> Role:
        if (role := self._find_role(wanted)) is None:
            until = self._now() + patience_seconds
            await self._wait_for_turn(patience_seconds)  # it may be on its way
            if self._find_role(wanted) is None and not await self._beside.wait(until - self._now()):
                raise self._still_loading()
            role = self._find_role(wanted)
        if role is not None:
            return role
        for failed, failure in self._failures.items():
            if wanted in (failure.version, self._wanted_as(failed)):
                raise failure.for_who_asks(self.name)
        if isinstance(wanted, int):
            with contextlib.suppress(PyMongoError):  # what is loaded is known without it
                await self._registry.get_version(self.name, wanted)
        present = ", ".join(str(each.version.version) for each in self._roles.values())
        raise VersionNotServable(
            f"Version {wanted} of {self.name} is not loaded; {present} is. As a canary it answers who asks"
            f" for it: PUT /serving/{self.name} with"
            f' "canary": {{"version": {json.dumps(wanted)}, "share": 0}} beside the other options.'
        )

    def _find_role(self, wanted: VersionOrAlias) -> Role | None:
        for role, loaded in self._roles.items():
            # By number only what has it: while another one is loaded for a role, the one before has it still.
            if wanted == (loaded.version.version if isinstance(wanted, int) else self._wanted_as(role)):
                return role
        return None

    @property
    def shadow(self) -> LoadedVersion | None:
        """What is asked the same this time, and answers nobody."""
        shadow, loaded = self.options.shadow, self._roles.get(Role.SHADOW)
        if shadow is None or loaded is None or loaded.batcher.waiting > self.options.max_batch_rows:
            return None
        return loaded if random.random() < shadow.share else None

    # --- changing ---------------------------------------------------------------------------------------

    async def _wake(self, patience_seconds: float) -> None:
        if self._is_over:  # meanwhile: whoever asks again is told why
            raise NotReady(f"{self.name} has just been ended.")
        failure = self._failures.get(Role.PRIMARY)
        if failure is not None and self._now() - failure.at < _RETRY_SECONDS:
            raise failure.for_who_asks(self.name)
        self._is_awake = True
        await self._wait_for_turn(patience_seconds)
        if self._why_not is not None and Role.PRIMARY not in self._roles:
            raise self._why_not
        if Role.PRIMARY not in self._roles:
            if (failure := self._failures.get(Role.PRIMARY)) is not None:
                raise failure.for_who_asks(self.name)
            raise NotReady(f"{self.name} was put to sleep; ask again.")

    async def _wait_for_turn(self, patience_seconds: float) -> None:
        """It goes on for others, and may be ended by them. Raises StillLoading."""
        turn = self.start_turn()
        await asyncio.wait({turn}, timeout=patience_seconds)
        if not turn.done():
            raise self._still_loading()

    def _still_loading(self) -> StillLoading:
        return StillLoading(
            f"{self.name} is still being loaded, and the time for this question is over; it goes on, so"
            " ask again."
        )

    def start_turn(self) -> asyncio.Task[None]:
        """Look at what is to answer, and change to it; the look that is being taken, where there is one."""
        if self._turn is None or self._turn.done():
            self._turn = asyncio.create_task(self._take_turn(), name=f"{self.name}: versions")
        return self._turn

    async def _take_turn(self) -> None:
        try:
            await self.turn()
            self._why_not = None
        except ServiceError as error:
            self._why_not = error
            logger.warning("%s: %s", self.name, error)
        except (
            Exception
        ) as error:  # also what Ray or a disk does: whoever asks is told, and it is tried again
            self._why_not = NotReady(f"{self.name} cannot be loaded now ({type(error).__name__}).")
            logger.exception("%s: its versions stay as they are", self.name)

    async def turn(self) -> None:
        """Let answer what is to answer; what cannot be known now stays as it is.

        Raises:
            ServiceError: No version is to serve, or it cannot, and none does.
        """
        async with self._change:
            if not self._is_awake:
                return
            try:
                model = await self._registry.get_model(self.name)
                self.registry_is_away = ""
            except PyMongoError as error:
                self.registry_is_away = str(error)[:200]
                if Role.PRIMARY not in self._roles:
                    raise NotReady(f"{self.name}: the registry does not answer ({error}).") from error
                return
            await self._let_serve(model)
            await self._beside.follow(self._numbers_beside(model), self.options)

    async def _let_serve(self, model: RegisteredModel) -> None:
        number = model.number_of(self.options.version)
        if number is None:  # taken out of service: everywhere, also where something is loaded
            await self._beside.give_up()
            self._failures.clear()
            self._let_all_go()
            raise NotReady(
                f"No version of {self.name} is its {self.options.version}; set an alias, or train one."
            )
        await self._let(Role.PRIMARY, number)
        if Role.PRIMARY not in self._roles and self.served.last_good not in (None, number):
            assert self.served.last_good is not None
            await self._load(Role.PRIMARY, self.served.last_good, remember=False)

    def _numbers_beside(self, model: RegisteredModel) -> dict[Role, int | None]:
        wanted = {role: self._wanted_as(role) for role in (Role.CANARY, Role.SHADOW)}
        numbers = {role: None if each is None else model.number_of(each) for role, each in wanted.items()}
        self._unnamed = {
            role: each for role, each in wanted.items() if each is not None and numbers[role] is None
        }
        return numbers

    async def _let_beside(self, role: Role, number: int | None) -> None:
        primary = self._roles.get(Role.PRIMARY)
        if number is None or (primary is not None and primary.version.version == number):
            self._failures.pop(role, None)
            if (gone := self._roles.pop(role, None)) is not None:
                self._let_go(gone)
            return
        await self._let(role, number)

    async def _let(self, role: Role, number: int) -> None:
        present = self._roles.get(role)
        is_there = present is not None and present.version.version == number
        if present is not None and is_there and self._loading.is_as(present, self.options):
            self._loading.take_over(present, self.options)
            self._failures.pop(role, None)
            return
        failure = self._failures.get(role)
        if failure is not None and failure.version == number and self._now() - failure.at < _RETRY_SECONDS:
            return
        await self._load(role, number, remember=True)

    async def _load(self, role: Role, number: int, *, remember: bool) -> None:
        """Load it, then change. Raises TooManyModels."""
        if role is Role.PRIMARY:
            await self._beside.leave(number)  # a deployment is loaded once at a time
        try:
            version = await self._registry.get_version(self.name, number)
            loaded = await self._load_version(version)
        except TooManyModels:
            raise
        except (ServiceError, PyMongoError) as error:
            if remember:
                self._failures[role] = Failure(number, error, self._now())
                logger.error("Version %d of %s is not served: %s", number, self.name, error)
            return
        if remember:
            self._failures.pop(role, None)
        before, self._roles[role] = self._roles.get(role), loaded
        logger.info("Version %d of %s answers as %s", number, self.name, role)
        if before is not None and before.deployment.name != loaded.deployment.name:
            self._let_go(before)
        if role is Role.PRIMARY:
            await self._note_good(self.name, number)

    async def _load_version(self, version: ModelVersion) -> LoadedVersion:
        if version.state is not VersionState.READY:
            raise VersionNotServable(f"Version {version.version} is {version.state.lower()}.")
        for loaded in self._roles.values():  # as a canary that becomes the champion
            if loaded.version.version == version.version and self._loading.is_as(loaded, self.options):
                self._loading.take_over(loaded, self.options)
                return loaded
        async with self._room(self.name):
            return await self._loading.load(version, self.options)

    def _let_go(self, loaded: LoadedVersion) -> None:
        """End what answers as nothing any more, once it has answered."""
        if any(each is loaded for each in self._roles.values()):
            return
        task = asyncio.create_task(self._loading.unload(loaded), name=f"{loaded.version.id} ends")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _let_all_go(self) -> None:
        gone, self._roles = list(self._roles.values()), {}
        for loaded in {id(each): each for each in gone}.values():
            self._let_go(loaded)

    async def sleep(self, *, for_good: bool = False) -> None:
        """End all that is loaded, and give up what is being loaded; returns when it is gone.

        Args:
            for_good: Otherwise the next question brings it back.
        """
        self._is_awake = False
        self._is_over = self._is_over or for_good
        if self._turn is not None:
            self._turn.cancel()
        async with self._change:
            await self._beside.give_up()
            self._failures.clear()
            self._let_all_go()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def _wanted_as(self, role: Role) -> VersionOrAlias | None:
        options = self.options
        if role is Role.PRIMARY:
            return options.version
        beside = options.canary if role is Role.CANARY else options.shadow
        return beside.version if beside is not None else None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
