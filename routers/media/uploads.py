"""Bodies that are files: read once it is known who sends them, and never more than there may be."""

from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.requests import ClientDisconnect

from common.access.control import AccessControl
from common.auth import Principal
from common.errors import InvalidRequest, PayloadTooLarge
from routers.dependencies import AccessDep
from routers.principal import AdmittedDep


class Upload:
    """The body of a request that nothing else reads."""

    def __init__(self, request: Request, access: AccessControl, principal: Principal) -> None:
        self._request, self._access, self._principal = request, access, principal

    async def read(self, limit_bytes: int, setting: str) -> bytes:
        """All of it.

        Args:
            setting: That says the limit.
        Raises:
            PayloadTooLarge: There is more, announced or not; reading stops there.
            TooManyRequests: Who sends it has sent too much.
            InvalidRequest: It was broken off.
        """
        announced = self._request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > limit_bytes:
            raise _too_large(limit_bytes, setting)
        body = bytearray()
        try:
            async for piece in self._request.stream():
                body += piece
                if len(body) > limit_bytes:
                    raise _too_large(limit_bytes, setting)
        except ClientDisconnect as error:
            raise InvalidRequest("The body was broken off.") from error
        await self._access.count(self._principal, len(body))
        return bytes(body)


def _too_large(limit_bytes: int, setting: str) -> PayloadTooLarge:
    detail = f"The body is larger than {limit_bytes:,} bytes ({setting})."
    return PayloadTooLarge(detail, headers={"Connection": "close"})


async def upload(request: Request, access: AccessDep, principal: AdmittedDep) -> Upload:
    """The body, not read yet."""
    return Upload(request, access, principal)


UploadDep = Annotated[Upload, Depends(upload)]


def raw_body(*media_types: str) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is a file."""
    schema = {"type": "string", "format": "binary"}
    content = {media_type: {"schema": schema} for media_type in media_types}
    return {"requestBody": {"required": True, "content": content}}
