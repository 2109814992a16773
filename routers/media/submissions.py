"""Bodies that hold a submission: all that is refused of one is named at once, by whomever."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from common.errors import ServiceError
from submission.manifest.template_values import by_field, read_template_values


class SubmissionRoute(APIRoute):
    """A route whose body is a submission, or has one.

    Beside types that are wrong it tells what would be refused next of `spark_template_values`.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's, for requests with further errors."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                errors = [*error.errors(), *_also_refused(error)]
                raise RequestValidationError(
                    errors, body=error.body, endpoint_ctx=error.endpoint_ctx
                ) from error

        return handler


def _also_refused(error: RequestValidationError) -> Iterator[dict[str, Any]]:
    for place, body in ((), error.body), (("submission",), _member(error.body, "submission")):
        values = _member(body, "spark_template_values")
        at = ("body", *place, "spark_template_values")
        if not isinstance(values, dict) or any(each["loc"][: len(at)] == at for each in error.errors()):
            continue
        try:
            complaints = read_template_values(values)[1]
        except ServiceError as refused:
            complaints = [str(refused)]
        for field, message in by_field(complaints):
            yield {"loc": (*place, field), "msg": message}


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None
