"""Clients of a running service, one that waits and one for asyncio; both know the same calls."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from copy import copy
from typing import Any, Self, TypeVar, cast

import httpx

from app.client import calls
from app.client.answers import (
    FINAL_APPLICATION_STATES,
    Application,
    ApplicationDetails,
    Decision,
    Environment,
    Job,
    Model,
    ModelVersion,
    Token,
    Training,
)
from app.client.calls import Call
from app.client.events import ServerEvents, new_lines
from app.client.methods import AsyncIterated, Awaited, Iterated, Sent
from app.client.problems import ProblemError
from app.client.retries import Retries
from app.client.serving_methods import AsyncServingMethods, ServingMethods
from app.client.team_methods import AsyncTeamMethods, TeamMethods

T = TypeVar("T")
AnyClient = TypeVar("AnyClient", bound="Client | AsyncClient")

_PAUSE_SECONDS = 0.2
_RETRIES = Retries()


class Client(TeamMethods, ServingMethods):
    """A client that waits for each answer.

    Args:
        url: Of the service.
        timeout_seconds: For one answer, or one event of a stream.
        token: Who asks, where the service wants to know; a driver's is CALLBACK_TOKEN.
        retries: How often what is safe to repeat is asked again, see `app.client.retries`.
        transport: Other than the network, for tests.
    Raises:
        ProblemError: From every method: the answer is no success.
        httpx.TransportError: From every method: there is no answer.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 60.0,
        token: str = "",
        retries: Retries = _RETRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.http = httpx.Client(**_options(url, timeout_seconds, token), transport=transport)
        self._retries = retries

    submit = Sent(calls.submit)
    applications = Sent(calls.applications)
    application = Sent(calls.application)
    jobs = Sent(calls.jobs)
    decisions = Sent(calls.decisions)
    log = Sent(calls.log)
    picture = Sent(calls.picture)
    kill = Sent(calls.kill)
    schedules = Sent(calls.schedules)
    schedule = Sent(calls.schedule)
    create_schedule = Sent(calls.create_schedule)
    run_schedule = Sent(calls.run_schedule)
    pause_schedule = Sent(calls.pause_schedule)
    resume_schedule = Sent(calls.resume_schedule)
    delete_schedule = Sent(calls.delete_schedule)
    report = Sent(calls.report)
    recommend = Sent(calls.recommend)
    import_run = Sent(calls.import_run)
    start_training = Sent(calls.start_training)
    trainings = Sent(calls.trainings)
    training = Sent(calls.training)
    cancel_training = Sent(calls.cancel_training)
    training_schedules = Sent(calls.training_schedules)
    models = Sent(calls.models)
    model = Sent(calls.model)
    versions = Sent(calls.versions)
    set_alias = Sent(calls.set_alias)
    delete_version = Sent(calls.delete_version)
    preload = Sent(calls.preload)
    initial_scale_out = Sent(calls.initial_scale_out)
    environments = Sent(calls.environments)
    environment = Sent(calls.environment)
    environment_log = Sent(calls.environment_log)
    build_environment = Sent(calls.build_environment)
    me = Sent(calls.me)
    tokens = Sent(calls.tokens)
    token = Sent(calls.token)
    create_token = Sent(calls.create_token)
    revoke_token = Sent(calls.revoke_token)

    iterate_applications = Iterated(calls.applications, Application)
    iterate_jobs = Iterated(calls.jobs, Job)
    iterate_decisions = Iterated(calls.decisions, Decision)
    iterate_trainings = Iterated(calls.trainings, Training)
    iterate_models = Iterated(calls.models, Model)
    iterate_versions = Iterated(calls.versions, ModelVersion)
    iterate_environments = Iterated(calls.environments, Environment)
    iterate_tokens = Iterated(calls.tokens, Token)

    def send(self, call: Call[T]) -> T:
        """One call, repeated where that is safe and worth it."""
        answer: T = self._retries.plain(call)(self._once, call)
        return answer

    def _once(self, call: Call[T]) -> T:
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

    def ended_application(self, execution_id: str) -> ApplicationDetails:
        """An application once it has ended, however long that takes."""
        for application in self.follow_application(execution_id):
            latest = application
        return latest

    def follow_training(self, training_id: str) -> Iterator[Training]:
        """Whenever something about it changes, until it has ended or the service stops."""
        for _, data in self._stream(calls.training_events(training_id)):
            yield cast(Training, json.loads(data))

    def follow_training_log(self, training_id: str) -> Iterator[str]:
        """Lines of a training, those that are kept first, until it has ended or the service stops."""
        seen: list[str] = []
        for training in self.follow_training(training_id):
            yield from new_lines(seen, training["log"])
            seen = training["log"]

    def follow_log(self, execution_id: str, *, tail_lines: int = 500) -> Iterator[str]:
        """Lines of the driver, the last ones that are there first, until there will be no more."""
        for event, data in self._stream(calls.log_events(execution_id, tail_lines=tail_lines)):
            if event == "log":
                yield data

    def _stream(self, call: Call[Any]) -> Iterator[tuple[str, str]]:
        events = ServerEvents()
        with self.http.stream(**_request(call)) as response:
            if not response.is_success:
                response.read()
                raise ProblemError.of(response)
            for text in response.iter_text():
                yield from events.feed(text)

    def with_retries(self, retries: Retries) -> Self:
        """The same client with other patience; both share their connections."""
        return _with_retries(self, retries)

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(AsyncTeamMethods, AsyncServingMethods):
    """A client for asyncio, otherwise like `Client`; `transport` may be an application of this process."""

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 60.0,
        token: str = "",
        retries: Retries = _RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.http = httpx.AsyncClient(**_options(url, timeout_seconds, token), transport=transport)
        self._retries = retries

    submit = Awaited(calls.submit)
    applications = Awaited(calls.applications)
    application = Awaited(calls.application)
    jobs = Awaited(calls.jobs)
    decisions = Awaited(calls.decisions)
    log = Awaited(calls.log)
    picture = Awaited(calls.picture)
    kill = Awaited(calls.kill)
    schedules = Awaited(calls.schedules)
    schedule = Awaited(calls.schedule)
    create_schedule = Awaited(calls.create_schedule)
    run_schedule = Awaited(calls.run_schedule)
    pause_schedule = Awaited(calls.pause_schedule)
    resume_schedule = Awaited(calls.resume_schedule)
    delete_schedule = Awaited(calls.delete_schedule)
    report = Awaited(calls.report)
    recommend = Awaited(calls.recommend)
    import_run = Awaited(calls.import_run)
    start_training = Awaited(calls.start_training)
    trainings = Awaited(calls.trainings)
    training = Awaited(calls.training)
    cancel_training = Awaited(calls.cancel_training)
    training_schedules = Awaited(calls.training_schedules)
    models = Awaited(calls.models)
    model = Awaited(calls.model)
    versions = Awaited(calls.versions)
    set_alias = Awaited(calls.set_alias)
    delete_version = Awaited(calls.delete_version)
    preload = Awaited(calls.preload)
    initial_scale_out = Awaited(calls.initial_scale_out)
    environments = Awaited(calls.environments)
    environment = Awaited(calls.environment)
    environment_log = Awaited(calls.environment_log)
    build_environment = Awaited(calls.build_environment)
    me = Awaited(calls.me)
    tokens = Awaited(calls.tokens)
    token = Awaited(calls.token)
    create_token = Awaited(calls.create_token)
    revoke_token = Awaited(calls.revoke_token)

    iterate_applications = AsyncIterated(calls.applications, Application)
    iterate_jobs = AsyncIterated(calls.jobs, Job)
    iterate_decisions = AsyncIterated(calls.decisions, Decision)
    iterate_trainings = AsyncIterated(calls.trainings, Training)
    iterate_models = AsyncIterated(calls.models, Model)
    iterate_versions = AsyncIterated(calls.versions, ModelVersion)
    iterate_environments = AsyncIterated(calls.environments, Environment)
    iterate_tokens = AsyncIterated(calls.tokens, Token)

    async def send(self, call: Call[T]) -> T:
        """One call, repeated where that is safe and worth it."""
        return await self._retries.awaiting(call)(self._once, call)

    async def _once(self, call: Call[T]) -> T:
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
        async for _, data in self._stream(calls.training_events(training_id)):
            yield cast(Training, json.loads(data))

    async def follow_training_log(self, training_id: str) -> AsyncIterator[str]:
        """Lines of a training, those that are kept first, until it has ended or the service stops."""
        seen: list[str] = []
        async for training in self.follow_training(training_id):
            for line in new_lines(seen, training["log"]):
                yield line
            seen = training["log"]

    async def follow_log(self, execution_id: str, *, tail_lines: int = 500) -> AsyncIterator[str]:
        """Lines of the driver, the last ones that are there first, until there will be no more."""
        async for event, data in self._stream(calls.log_events(execution_id, tail_lines=tail_lines)):
            if event == "log":
                yield data

    async def _stream(self, call: Call[Any]) -> AsyncIterator[tuple[str, str]]:
        events = ServerEvents()
        async with self.http.stream(**_request(call)) as response:
            if not response.is_success:
                await response.aread()
                raise ProblemError.of(response)
            async for text in response.aiter_text():
                for event in events.feed(text):
                    yield event

    def with_retries(self, retries: Retries) -> Self:
        """The same client with other patience; both share their connections."""
        return _with_retries(self, retries)

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
        "content": call.content,
        "headers": dict(call.headers),
        "timeout": limit,
    }


def _with_retries(client: AnyClient, retries: Retries) -> AnyClient:
    other = copy(client)
    other._retries = retries
    return other
