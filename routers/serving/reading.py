"""A question as clients send it: JSON, a form with uploads, or an image alone."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser

from common.errors import InvalidRequest
from common.wire.specs import WireModel
from prediction.inference.questions import Question
from prediction.inference.queue.sizes import QUICK_BYTES, off_the_loop
from prediction.inference.served.documents import VersionOrAlias
from routers.dependencies import ServingDep
from routers.media.presence import while_there
from routers.media.uploads import Upload, UploadDep
from routers.serving import json_bodies
from submission.serving.opened import ServingLimits

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"

IMAGE_KINDS = ("image/jpeg", "image/png", "image/webp", "image/tiff")

ANY_FIELD = ""
"""Of an upload that names no field: the model's only image."""

_MOST_FIELDS = 1000

_IMAGES = (b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*")
"""How files begin that clients send under the type of a form where nobody has said another one."""

VERSION = "version"
"""Of JSON, of a form and of an address: what is to answer."""

WantedVersion = Annotated[
    str,
    Query(
        alias=VERSION,
        max_length=64,
        description="One of the versions that are loaded, by its number or alias, whatever the body is;"
        " it comes before the `version` in a body.",
    ),
]

IsField = Callable[[str], Awaitable[bool]]
"""Whether the model that is asked has a field of this name."""

Result = TypeVar("Result")


class AskModel(WireModel):
    """A question, or several."""

    inputs: dict[str, Any] | list[dict[str, Any]]
    """Values by the names of the model's fields; images as base64. A list asks for several rows at once."""
    version: VersionOrAlias | None = None
    """One of the versions that are loaded; left out: the one that serves or, for a share, its canary."""


class Asked(WireModel):
    """A question as it was read."""

    questions: list[Question] = Field(exclude=True)
    body_bytes: int = 0
    version: VersionOrAlias | None = None
    notes: list[str] = Field(default_factory=list)
    """What whoever asks has to know of how it was read."""
    is_list: bool = False
    """Whether the answer is a list, also of one row."""


class AskedBody:
    """The body of a request that asks; read once it is known who does."""

    def __init__(self, request: Request, upload: Upload, limits: ServingLimits) -> None:
        self._request, self._upload, self._limits = request, upload, limits

    @property
    def kind(self) -> str:
        """Media type of the body."""
        return self._request.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def content(self) -> bytes:
        """As it came. Raises PayloadTooLarge."""
        return await self._upload.read(self._limits.upload_bytes, "SERVING_UPLOAD_MAX_BYTES")

    async def read(self, is_field: IsField, *, is_bare: bool = False) -> Asked:
        """What is asked.

        Args:
            is_field: Asked only of what a form has and also says something else.
            is_bare: Whether JSON without `inputs` is key/values itself, as simple clients send it.
        Raises:
            InvalidRequest, RequestValidationError: It is nothing of the kind.
            PayloadTooLarge: There is more than may be.
        """
        content = await self.content()
        if self.kind.startswith("image/"):
            return Asked(questions=[Question(files={ANY_FIELD: content})], body_bytes=len(content))
        if self.kind in (FORM, MULTIPART):
            form = await self._form(content)
            has_field = VERSION in form and await is_field(VERSION)
            return await off_the_loop(len(content), _of_form, form, len(content), has_field)
        return await off_the_loop(len(content), _of_json, content, is_bare)

    async def while_there(self, work: Awaitable[Result]) -> Result:
        """What some work returns, for whoever has sent the body. Raises ClientGone."""
        return await while_there(self._request, work)

    async def form(self) -> FormData:
        """The fields of a form. Raises as `read` does."""
        return await self._form(await self.content())

    async def _form(self, content: bytes) -> FormData:
        return await read_form(self._request.headers, content)


async def asked_body(request: Request, upload: UploadDep, serving: ServingDep) -> AskedBody:
    """The body, not read yet."""
    return AskedBody(request, upload, serving.limits)


AskedDep = Annotated[AskedBody, Depends(asked_body)]


async def read_form(headers: Headers, content: bytes) -> FormData:
    """The fields of a form, with uploads in memory: they came as one body, whose size is bounded.

    Raises:
        InvalidRequest: It is none.
    """
    parsing = _parsed_form(headers, content)
    if len(content) <= QUICK_BYTES:
        return await parsing
    return await asyncio.to_thread(asyncio.run, parsing)  # it waits for nothing, and takes long


async def _parsed_form(headers: Headers, content: bytes) -> FormData:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield content

    is_multipart = headers.get("content-type", "").lower().startswith(MULTIPART)
    if content.startswith(_IMAGES):
        raise InvalidRequest("This is an image, sent as a form: say `Content-Type: image/…`.")
    if is_multipart and not content.rstrip().endswith(b"--"):
        raise InvalidRequest("The form cannot be read: it is cut off, and its last boundary is missing.")
    try:
        if is_multipart:
            parser = MultiPartParser(
                headers,
                stream(),
                max_files=_MOST_FIELDS,
                max_fields=_MOST_FIELDS,
                max_part_size=len(content) + 1,
            )
            parser.spool_max_size = len(content) + 1
            return await parser.parse()
        return await FormParser(headers, stream()).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise InvalidRequest(f"The form cannot be read: {getattr(error, 'message', error)}.") from error


def _of_json(content: bytes, is_bare: bool) -> Asked:
    body = json_bodies.question(content, is_bare)
    try:
        said = AskModel.model_validate(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_context=False)) from error
    rows = said.inputs if isinstance(said.inputs, list) else [said.inputs]
    return Asked(
        questions=[Question(values=row) for row in rows],
        body_bytes=len(content),
        version=said.version,
        notes=json_bodies.unread(body),
        is_list=isinstance(said.inputs, list),
    )


def _of_form(form: FormData, body_bytes: int, version_is_field: bool) -> Asked:
    """A row; one for each upload where several come under one name."""
    values: dict[str, Any] = {}
    uploads: dict[str, list[bytes]] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            uploads.setdefault(name, []).append(value.file.read())  # in memory: they came as one body
        elif name.lstrip().startswith("{"):
            raise InvalidRequest("This is a form that looks like JSON: send it as `application/json`.")
        elif name in values:
            raise InvalidRequest(f"{name[:100]} comes twice; a form asks for one row.")
        else:
            values[name] = value
    version = None if version_is_field else version_of(values.pop(VERSION, ""))
    return Asked(
        questions=rows_of(values, uploads),
        body_bytes=body_bytes,
        version=version,
        is_list=any(len(each) > 1 for each in uploads.values()),
    )


def rows_of(values: Mapping[str, Any], uploads: Mapping[str, Sequence[bytes]]) -> list[Question]:
    """The rows that a form asks: one, or one for each upload where several come under one name.

    Raises:
        InvalidRequest: That are two names.
    """
    several = [name for name, contents in uploads.items() if len(contents) > 1]
    if len(several) > 1:
        raise InvalidRequest("Several uploads under one name are several rows; that can be but one name.")
    once = {name: contents[0] for name, contents in uploads.items() if name not in several}
    if not several:
        return [Question(values, once, is_text=True)]
    [name] = several
    return [Question(values, {**once, name: content}, is_text=True) for content in uploads[name]]


def version_of(text: str) -> VersionOrAlias | None:
    """The version that a text names; None: it is empty. Raises InvalidRequest."""
    if not text:
        return None
    try:
        return AskModel.model_validate(
            {"inputs": {}, "version": int(text) if text.isdecimal() else text}
        ).version
    except ValidationError as error:
        raise InvalidRequest(
            f"version: {text[:100]!r} is neither a version's number nor an alias."
        ) from error
