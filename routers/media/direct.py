"""Routes that machines ask all day, answered without what FastAPI finds out anew with every request.

What takes JSON, and coroutine functions of the request as dependencies, needs little: it is found by its
path, its dependencies are called one after the other, and its answer is written as its model says. Whatever
is unusual about a request is left to FastAPI, which knows the same route: a large body, or an invalid one.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

from fastapi import FastAPI, Request, Response, params
from fastapi.routing import RouteContext, iter_route_contexts
from fastapi.security.base import SecurityBase
from pydantic import TypeAdapter
from starlette.routing import BaseRoute, Match
from starlette.types import Message, Receive, Scope, Send

from routers.media.large_json import LARGE_BODY_BYTES, LargeBodyRoute
from routers.principal import BODY_BYTES

_LEFT_TO_FASTAPI = "enel.left_to_fastapi"
"""In the scope of a request that has turned out to be unusual."""

_JSON = b"application/json"


class DirectRoute(LargeBodyRoute):
    """A route that is answered directly if what it takes allows it; else it is like others."""


def install(app: FastAPI) -> None:
    """Let the direct routes of all routers that were included be found before any other."""
    routes = app.router.routes
    # FastAPI makes the routes of other routers once they are asked for: the start does not wait for them.
    including = [route for route in routes if any(_direct_among(route))]
    direct = [each for each in iter_route_contexts(including) if isinstance(each.original_route, DirectRoute)]
    routes.insert(0, _ByPath(app, direct))


def _direct_among(included: Any) -> Iterator[bool]:
    router = getattr(included, "original_router", None)
    return (isinstance(each, DirectRoute) for each in getattr(router, "routes", ()))


class _ByPath(BaseRoute):
    def __init__(self, app: FastAPI, contexts: Sequence[RouteContext]) -> None:
        self._app = app
        self._answers = {
            (method, str(context.path)): answer
            for context in contexts
            if (answer := _Answer.of(context)) is not None
            for method in context.methods or ()
        }

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        answer = self._answers.get((scope.get("method", ""), scope["path"]))
        if (
            answer is None
            or scope.get("root_path")
            or _LEFT_TO_FASTAPI in scope
            or self._app.dependency_overrides
            or not 0 < scope.get(BODY_BYTES, 0) <= LARGE_BODY_BYTES
            or not _is_json(scope)
        ):
            return Match.NONE, {}
        return Match.FULL, answer.scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        answer = self._answers[scope["method"], scope["path"]]
        try:
            value, errors = answer.read(body)
        except Exception:  # FastAPI comes upon the same, and says so in its words
            value, errors = None, True
        if errors:
            scope[_LEFT_TO_FASTAPI] = True
            await self._app.router(scope, _again(body, receive), send)
            return
        await answer.send(request, value, send)


def _is_json(scope: Scope) -> bool:
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return len(kinds) == 1 and kinds[0].partition(b";")[0].strip().lower() == _JSON


def _again(body: bytes, receive: Receive) -> Receive:
    is_read = False

    async def replay() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


@dataclass(frozen=True)
class _Step:
    """A call, and what it is given: the value of an earlier step, or the request (-1)."""

    call: Callable[..., Awaitable[Any]]
    given: Sequence[tuple[str, int]]


class _Unfit(Exception):
    """A route takes something that only FastAPI finds out."""


class _Answer:
    """How the requests of one route are answered."""

    def __init__(self, context: RouteContext) -> None:
        dependant, self._body = context.dependant, context.body_field
        is_whole_body = dependant.body_params == [self._body]  # else one of several, or in a field
        if not is_whole_body or isinstance(self._body.field_info, params.Form):
            raise _Unfit
        if context.response_model is None or context.status_code is not None:
            raise _Unfit
        self.scope: Scope = {
            "route": context.original_route,
            "endpoint": context.endpoint,
            "path_params": {},
        }
        self._name: str = dependant.body_params[0].name
        self._steps: list[_Step] = []
        self._index: dict[Any, int] = {}
        self._endpoint = self._step(dependant)
        self._adapter: TypeAdapter[Any] = TypeAdapter(context.response_model)

    @classmethod
    def of(cls, context: RouteContext) -> "_Answer | None":
        """None where only FastAPI can answer."""
        try:
            return cls(context)
        except _Unfit:
            return None

    def _step(self, dependant: Any) -> _Step:
        """A call whose dependencies are among the steps. Raises _Unfit."""
        others = (
            *(dependant.path_params, dependant.query_params, dependant.header_params),
            *(dependant.cookie_params, dependant.response_param_name, dependant.websocket_param_name),
            *(dependant.background_tasks_param_name, dependant.security_scopes_param_name),
            dependant.http_connection_param_name,
        )
        if any(others) or not iscoroutinefunction(dependant.call):
            raise _Unfit
        given = [(dependant.request_param_name, -1)] if dependant.request_param_name else []
        for each in dependant.dependencies:
            if each.name is None and isinstance(each.call, SecurityBase):
                continue  # for OpenAPI alone: nobody takes what it says
            if each.call not in self._index:
                self._steps.append(self._step(each))
                self._index[each.call] = len(self._steps) - 1
            if each.name is not None:
                given.append((each.name, self._index[each.call]))
        return _Step(dependant.call, given)

    def read(self, body: bytes) -> tuple[Any, Any]:
        """The body, and what is wrong with it; raises, too, where it is no JSON."""
        value, errors = self._body.validate(json.loads(body), loc=("body",))
        return value, errors

    async def send(self, request: Request, body: Any, send: Send) -> None:
        """Call what is to be called, and send what comes of it."""
        values: list[Any] = []
        for step in self._steps:
            values.append(
                await step.call(**{name: request if at < 0 else values[at] for name, at in step.given})
            )
        given = {name: request if at < 0 else values[at] for name, at in self._endpoint.given}
        found = await self._endpoint.call(**given, **{self._name: body})
        if isinstance(found, Response):
            await found(request.scope, request.receive, send)
            return
        content = self._adapter.dump_json(self._adapter.validate_python(found), by_alias=True)
        headers = [(b"content-length", b"%d" % len(content)), (b"content-type", _JSON)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})
