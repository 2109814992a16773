"""Who asks, found out once a request, and what each route needs of them, as data.

Where a route says nothing of its own it needs READ if its method only reads, otherwise OPERATE.
"""

from typing import Annotated, Any

from fastapi import Depends, Header, Request, Security, params
from fastapi.security import HTTPBearer
from pydantic import StringConstraints

from common.auth import Credentials, Permission, Principal
from common.wire.specs import SHORT_TEXT
from routers.dependencies import StateDep

Requester = Annotated[str, StringConstraints(max_length=SHORT_TEXT, strip_whitespace=True)]
"""What somebody calls themselves."""

_ONLY_READING = ("GET", "HEAD")

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="callback token",
    description="CALLBACK_TOKEN, where the service has one; a driver finds it in ENEL_CALLBACK_TOKEN.",
)


def requires(permission: Permission) -> Any:
    """Say, among the `dependencies` of a route, what it needs; `admit` reads it, and OpenAPI shows it."""
    return Security(_bearer, scopes=[permission])


def permission_for(request: Request) -> Permission:
    """What the route of a request needs."""
    for dependency in request.scope["route"].dependencies:
        if isinstance(dependency, params.Security) and dependency.dependency is _bearer:
            [permission] = dependency.scopes or ()
            return Permission(permission)
    return Permission.READ if request.method in _ONLY_READING else Permission.OPERATE


async def get_credentials(state: StateDep) -> Credentials:
    return state.credentials


async def admit(request: Request, credentials: Annotated[Credentials, Depends(get_credentials)]) -> Principal:
    """Who asks; for all routers at once.

    Raises:
        Unauthorized, Forbidden: They may not do what the route does.
    """
    bearer = await _bearer(request)
    shown = None if bearer is None else bearer.credentials
    address = request.client.host if request.client else ""
    called = printable(request.headers.get("X-Requested-By", ""))[:SHORT_TEXT].strip()
    principal = credentials.identify(shown, called or address)
    credentials.check(principal, permission_for(request), shown)
    return principal


async def named(
    principal: Annotated[Principal, Depends(admit)], x_requested_by: Annotated[Requester, Header()] = ""
) -> Principal:
    """Who asks, for routes that record it: these show, and check, the header with a name."""
    return principal


def printable(text: str) -> str:
    """The text without what cannot be seen."""
    return "".join(character for character in text if character.isprintable())


Admitted = Depends(admit)
PrincipalDep = Annotated[Principal, Depends(named)]
