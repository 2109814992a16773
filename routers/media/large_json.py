"""JSON of megabytes: read and written in threads, whose Python lets the event loop go on."""

import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from common.beside import beside
from common.executions.documents import JobExecution
from common.wire.events import FEW_STAGES

LARGE_BODY_BYTES = 256 * 1024


class LargeBodyRoute(APIRoute):
    """A route whose body may be large: it is parsed and validated before FastAPI does so, in a thread."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's, for requests that read their bodies themselves."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await handle(_LargeRequest(request, self.body_field))

        return handler


class _LargeRequest(Request):
    def __init__(self, request: Request, body_field: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._field = body_field

    async def json(self) -> Any:
        """The body; a large one that is valid as the model that it is to be, which FastAPI leaves alone."""
        body = await self.body()
        if len(body) <= LARGE_BODY_BYTES or self._field is None:
            return await super().json()
        return await beside(read_body, body, self._field)


def read_body(body: bytes, field: Any) -> Any:
    """What a body says, validated where it is valid: FastAPI finds the same errors again, and tells them.

    Raises:
        json.JSONDecodeError: It is no JSON.
    """
    value = json.loads(body)
    try:
        found, errors = field.validate(value, loc=("body",))
    except Exception:  # FastAPI comes upon the same
        return value
    return value if errors else found


_JOB: TypeAdapter[JobExecution] = TypeAdapter(JobExecution)


def are_large(jobs: list[JobExecution]) -> bool:
    """Whether jobs have so many stages that writing them takes longer than some milliseconds."""
    return sum(len(job.stages) for job in jobs) > FEW_STAGES


async def jobs_response(page: dict[str, Any], jobs: list[JobExecution]) -> Response:
    """A page of jobs in JSON, made in a thread.

    Args:
        page: What there is beside its `items`, in JSON's types.
    """
    body = await beside(lambda: b"".join(_pieces(page, jobs)))
    return Response(body, media_type="application/json")


def _pieces(page: dict[str, Any], jobs: list[JobExecution]) -> Iterator[bytes]:
    """One stage each: a call for all of them would hold the interpreter."""
    yield b'{"items":['
    for number, job in enumerate(jobs):
        yield (b"," if number else b"") + _JOB.dump_json(job, by_alias=True, exclude={"stages"})[:-1]
        yield b',"stages":{'
        for position, (stage_id, stage) in enumerate(job.stages.items()):
            value = stage.model_dump_json(by_alias=True).encode() if stage else b"null"
            yield (b"," if position else b"") + json.dumps(stage_id).encode() + b":" + value
        yield b"}}"
    yield b"]," + json.dumps(page, ensure_ascii=False).encode()[1:]
