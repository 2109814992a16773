"""Clients of a running service, one that waits and one for asyncio; both know the same calls."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Generic, ParamSpec, Self, TypeVar, cast

import httpx

from app.client import calls
from app.client.answers import FINAL_APPLICATION_STATES, ApplicationDetails, Training
from app.client.calls import Call
from app.client.events import ServerEvents
from app.client.problems import ProblemError

P = ParamSpec("P")
T = TypeVar("T")

_PAUSE_SECONDS = 0.2


class _Sent(Generic[P, T]):
    """A call as a method of `Client`."""

    def __init__(self, call: Callable[P, Call[T]]) -> None:
        self._call = call

    def __get__(self, client: "Client", owner: type["Client"]) -> Callable[P, T]:
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return client.send(self._call(*args, **kwargs))

        return method


class _Awaited(Generic[P, T]):
    """A call as a method of `AsyncClient`."""

    def __init__(self, call: Callable[P, Call[T]]) -> None:
        self._call = call

    def __get__(self, client: "AsyncClient", owner: type["AsyncClient"]) -> Callable[P, Awaitable[T]]:
        def method(*args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
            return client.send(self._call(*args, **kwargs))

        return method


class Client:
    """A client that waits for each answer.

    Args:
        url: Of the service.
        timeout_seconds: For one answer, or one event of a stream.
        token: CALLBACK_TOKEN, where the service has one and events are reported.
    Raises:
        ProblemError: From every method: the answer is no success.
        httpx.TransportError: From every method: there is no answer.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 60.0, token: str = "") -> None:
        self.http = httpx.Client(**_options(url, timeout_seconds, token))

    submit = _Sent(calls.submit)
    applications = _Sent(calls.applications)
    application = _Sent(calls.application)
    jobs = _Sent(calls.jobs)
    decisions = _Sent(calls.decisions)
    log = _Sent(calls.log)
    picture = _Sent(calls.picture)
    kill = _Sent(calls.kill)
    schedules = _Sent(calls.schedules)
    schedule = _Sent(calls.schedule)
    create_schedule = _Sent(calls.create_schedule)
    run_schedule = _Sent(calls.run_schedule)
    delete_schedule = _Sent(calls.delete_schedule)
    report = _Sent(calls.report)
    recommend = _Sent(calls.recommend)
    start_training = _Sent(calls.start_training)
    trainings = _Sent(calls.trainings)
    training = _Sent(calls.training)
    cancel_training = _Sent(calls.cancel_training)
    training_schedules = _Sent(calls.training_schedules)
    models = _Sent(calls.models)
    model = _Sent(calls.model)
    versions = _Sent(calls.versions)
    set_alias = _Sent(calls.set_alias)
    delete_version = _Sent(calls.delete_version)
    preload = _Sent(calls.preload)
    initial_scale_out = _Sent(calls.initial_scale_out)

    def send(self, call: Call[T]) -> T:
        response = self.http.request(**_request(call))
        if not response.is_success:
            raise ProblemError.of(response)
        return call.read(response)

    def follow_application(
        self, execution_id: str, *, pause_seconds: float = _PAUSE_SECONDS
    ) -> Iterator[ApplicationDetails]:
        """Ask again and again, until it has ended; the last one has."""
        while True:
            application = self.application(execution_id)
            yield application
            if application["state"] in FINAL_APPLICATION_STATES:
                return
            time.sleep(pause_seconds)

    def follow_training(self, training_id: str) -> Iterator[Training]:
        """Whenever something about it changes, until it has ended or the service stops."""
        for _, data in self._stream(f"/training/runs/{training_id}/events"):
            yield cast(Training, json.loads(data))

    def follow_log(self, execution_id: str) -> Iterator[str]:
        """Lines of the driver, until there will be no more."""
        for event, data in self._stream(f"/submission/applications/{execution_id}/logs", follow=True):
            if event == "log":
                yield data

    def _stream(self, path: str, **params: Any) -> Iterator[tuple[str, str]]:
        events = ServerEvents()
        with self.http.stream("GET", path, params=params) as response:
            if not response.is_success:
                response.read()
                raise ProblemError.of(response)
            for line in response.iter_lines():
                yield from events.of(line)

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient:
    """A client for asyncio, otherwise like `Client`.

    Args:
        transport: Other than the network, such as an application of this process.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 60.0,
        token: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.http = httpx.AsyncClient(**_options(url, timeout_seconds, token), transport=transport)

    submit = _Awaited(calls.submit)
    applications = _Awaited(calls.applications)
    application = _Awaited(calls.application)
    jobs = _Awaited(calls.jobs)
    decisions = _Awaited(calls.decisions)
    log = _Awaited(calls.log)
    picture = _Awaited(calls.picture)
    kill = _Awaited(calls.kill)
    schedules = _Awaited(calls.schedules)
    schedule = _Awaited(calls.schedule)
    create_schedule = _Awaited(calls.create_schedule)
    run_schedule = _Awaited(calls.run_schedule)
    delete_schedule = _Awaited(calls.delete_schedule)
    report = _Awaited(calls.report)
    recommend = _Awaited(calls.recommend)
    start_training = _Awaited(calls.start_training)
    trainings = _Awaited(calls.trainings)
    training = _Awaited(calls.training)
    cancel_training = _Awaited(calls.cancel_training)
    training_schedules = _Awaited(calls.training_schedules)
    models = _Awaited(calls.models)
    model = _Awaited(calls.model)
    versions = _Awaited(calls.versions)
    set_alias = _Awaited(calls.set_alias)
    delete_version = _Awaited(calls.delete_version)
    preload = _Awaited(calls.preload)
    initial_scale_out = _Awaited(calls.initial_scale_out)

    async def send(self, call: Call[T]) -> T:
        response = await self.http.request(**_request(call))
        if not response.is_success:
            raise ProblemError.of(response)
        return call.read(response)

    async def follow_application(
        self, execution_id: str, *, pause_seconds: float = _PAUSE_SECONDS
    ) -> AsyncIterator[ApplicationDetails]:
        """Ask again and again, until it has ended; the last one has."""
        while True:
            application = await self.application(execution_id)
            yield application
            if application["state"] in FINAL_APPLICATION_STATES:
                return
            await asyncio.sleep(pause_seconds)

    async def ended_application(self, execution_id: str) -> ApplicationDetails:
        """An application once it has ended; how long that may take is the caller's to limit."""
        async for application in self.follow_application(execution_id):
            latest = application
        return latest

    async def follow_training(self, training_id: str) -> AsyncIterator[Training]:
        """Whenever something about it changes, until it has ended or the service stops."""
        events = ServerEvents()
        async with self.http.stream("GET", f"/training/runs/{training_id}/events") as response:
            if not response.is_success:
                await response.aread()
                raise ProblemError.of(response)
            async for line in response.aiter_lines():
                for _, data in events.of(line):
                    yield cast(Training, json.loads(data))

    async def aclose(self) -> None:
        await self.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _options(url: str, timeout_seconds: float, token: str) -> dict[str, Any]:
    # A proxy of the environment is none for a service on this machine or in this cluster.
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return {"base_url": url, "timeout": timeout_seconds, "headers": headers, "trust_env": False}


def _request(call: Call[Any]) -> dict[str, Any]:
    limit = httpx.USE_CLIENT_DEFAULT if call.timeout_seconds is None else call.timeout_seconds
    return {
        "method": call.method,
        "url": call.path,
        "params": dict(call.params),
        "json": call.body,
        "headers": dict(call.headers),
        "timeout": limit,
    }
