"""Frames on their way from the gateway to replicas and back: bounded, with deadlines, tried once more."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from grpc import RpcError
from ray.exceptions import RayActorError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from prediction.inference.engine.applications import DEPLOYMENT
from prediction.inference.engine.failures import EngineUnavailable
from prediction.inference.engine.streams.doors import DoorClosed, Doors

_MOST_WAITING = 1000
_PER_REPLICA = 2
"""As many as a replica takes in, see `applications`: Ray's own queue is never where a frame waits, because
there it is bounded late, and an expired wait is not withdrawn."""

_LOOK_SECONDS = 1.0
_MARGIN_SECONDS = 1.0
"""A replica says itself that a model is overdue; this much later nobody is there to say it."""

_QUICK_BYTES = 3 << 20
"""Up to here a frame goes straight to a replica, by gRPC, which takes 4 MiB and costs half of what Ray's own
way does. A replica that has died is only found out by Ray's own, and then not asked again: so the second and
third attempt, and what is larger, go that way."""

Way = Callable[["Question"], Coroutine[Any, Any, tuple[str, bytes]]]
"""A frame's way to a replica and back."""

CountUp = Callable[[str], Coroutine[Any, Any, int]]
"""How many replicas of a deployment really run."""


@dataclass(frozen=True)
class Question:
    """A frame, and how long its answer may take: until when it is waited for, and how long it may compute."""

    frame: bytes
    deadline: float
    """By `time.monotonic`."""
    limit_seconds: float

    @property
    def left_seconds(self) -> float:
        return self.deadline - time.monotonic()

    def times(self) -> dict[str, float]:
        """What a replica is told of it, in the order in which it takes them."""
        return {"deadline_seconds": self.left_seconds, "limit_seconds": self.limit_seconds}


class Line:
    """Those who ask one deployment."""

    def __init__(self, name: str, *, has_doors: bool) -> None:
        """To be made in the event loop that asks; whether there is such a deployment is not looked at.

        Args:
            has_doors: Whether its replicas may have some: they are on this machine.
        """
        # Of its own: Ray keeps the one that it gives, whose router is of a deployment that may have ended.
        handle = DeploymentHandle(DEPLOYMENT, name)
        handle._init(_run_router_in_separate_loop=False)  # before the others, which share its router
        self.name = name
        self.doors = Doors()
        self._has_doors = has_doors
        self.describe = handle.describe
        self._quick = handle.options(_by_reference=False).predict
        self._sure = handle.predict
        self._replicas = 1
        self._places = asyncio.Semaphore(_PER_REPLICA)
        self._waiting = 0
        self._taking_away: set[asyncio.Task[Any]] = set()
        self._looking: asyncio.Task[None] | None = None

    def resize(self, replicas: int) -> None:
        """Let in as many as so many replicas take."""
        for _ in range((replicas - self._replicas) * _PER_REPLICA):
            self._places.release()
        for _ in range((self._replicas - replicas) * _PER_REPLICA):
            taking = asyncio.create_task(self._places.acquire())
            self._taking_away.add(taking)
            taking.add_done_callback(self._taking_away.discard)
        self._replicas = replicas

    async def ask(self, question: Question, count_up: CountUp) -> tuple[str, bytes]:
        """What a replica answered: "ok" and a frame, or a name of `failures.KINDS` and a message.

        Raises:
            EngineUnavailable: None did.
        """
        async with self._place(question):
            lost: Exception | None = None
            for way in (self._short, self._by_ray(self._sure), self._by_ray(self._sure)):
                try:
                    return await self._answer(way(question), question, count_up)
                except (DoorClosed, RayActorError, RayServeException, RpcError) as error:
                    lost = error
            raise EngineUnavailable(f"Replicas of {self.name} end while they are asked: {lost}") from lost

    async def _short(self, question: Question) -> tuple[str, bytes]:
        """Through a door, where one is known; else the shorter of Ray's ways."""
        replica = self.doors.free(_PER_REPLICA)
        if replica is None:
            self._look_for_doors()
            method = self._quick if len(question.frame) <= _QUICK_BYTES else self._sure
            return await self._by_ray(method)(question)
        return await self.doors.ask(replica, question.times(), question.frame)

    def _by_ray(self, method: Any) -> Way:
        async def asked(question: Question) -> tuple[str, bytes]:
            response = method.remote(question.frame, *question.times().values())
            try:
                kind, body = await response
            except asyncio.CancelledError:
                response.cancel()
                raise
            return kind, body

        return asked

    def _look_for_doors(self) -> None:
        """Of replicas that have taken the place of others; one at a time, beside what is asked."""
        if self._has_doors and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._learn())

    async def _learn(self) -> None:
        with contextlib.suppress(RayActorError, RayServeException, RpcError):
            for _ in range(self._replicas):
                await self.doors.learn(await _awaited(self.describe.remote()))
        await asyncio.sleep(_LOOK_SECONDS)

    @contextlib.asynccontextmanager
    async def _place(self, question: Question) -> AsyncIterator[None]:
        if self._waiting >= _MOST_WAITING:
            raise EngineUnavailable(f"{self._waiting:,} requests wait for {self.name} already.")
        self._waiting += 1
        try:
            async with asyncio.timeout(question.left_seconds):
                await self._places.acquire()
        except TimeoutError as error:
            raise EngineUnavailable(f"No replica of {self.name} was free in time.") from error
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    async def _answer(
        self, asking: Coroutine[Any, Any, tuple[str, bytes]], question: Question, count_up: CountUp
    ) -> tuple[str, bytes]:
        answering = asyncio.create_task(asking)
        try:
            while not answering.done():
                await asyncio.wait({answering}, timeout=_LOOK_SECONDS)
                if answering.done():
                    break
                if question.left_seconds < -_MARGIN_SECONDS:
                    raise EngineUnavailable(f"No replica of {self.name} answered in time.")
                if not await count_up(self.name):
                    raise EngineUnavailable(f"No replica of {self.name} runs.")
            return answering.result()
        finally:
            answering.cancel()


async def _awaited(response: Any) -> Any:
    return await response
