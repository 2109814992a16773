"""Who asks, found out once a request, and what each route needs of them, as data.

Every route names what it needs, or that it needs nothing; one that forgot is for admins alone.
"""

import logging
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Security, params
from fastapi.security import HTTPBearer
from pydantic import StringConstraints

from common.access.authenticators import Shown
from common.access.control import AccessControl
from common.access.sessions import COOKIE
from common.auth import Permission, Principal
from common.log_context import application_execution_id as application_execution
from common.wire.events import UpdateInformation
from common.wire.specs import SHORT_TEXT
from routers.dependencies import state_of

logger = logging.getLogger(__name__)

Requester = Annotated[str, StringConstraints(max_length=SHORT_TEXT, strip_whitespace=True)]
"""What somebody calls themselves."""

_ONLY_READING = ("GET", "HEAD")

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token from `POST /access/tokens`, or ADMIN_TOKEN. A driver finds its own in"
    " ENEL_CALLBACK_TOKEN, and elsewhere CALLBACK_TOKEN works for all. Where the service is open, none.",
)


def requires(permission: Permission) -> Any:
    """Say, among the `dependencies` of a route, what it needs; `admit` reads it, and OpenAPI shows it."""
    return Security(_bearer, scopes=[permission])


READS = [requires(Permission.READ)]
SUBMITS = [requires(Permission.SUBMIT)]
OPERATES = [requires(Permission.OPERATE)]
ADMINISTERS = [requires(Permission.ADMINISTER)]
REPORTS = [requires(Permission.REPORT)]

BODY_BYTES = "enel.body_bytes"
"""In a request's scope: the size of its body, which whoever reads it as a form cannot tell any more."""

REPORTED_EVENT = "enel.reported_event"
"""In a request's scope: what kind of event a report is of, once it is known."""

FOR_EVERYBODY = "for everybody"
"""A tag of routes, in `openapi_extra`, that need nothing."""

OPEN = {"x-needs": FOR_EVERYBODY}
"""`openapi_extra` of routes that need nothing."""


def permission_for(route: Any) -> Permission | None:
    """What a route needs; None: it forgot to say, or needs nothing (`is_open`)."""
    for dependency in route.dependencies:
        if isinstance(dependency, params.Security) and dependency.dependency is _bearer:
            [permission] = dependency.scopes or ()
            return Permission(permission)
    return None


def is_open(route: Any) -> bool:
    """Whether a route says that it needs nothing."""
    return (getattr(route, "openapi_extra", None) or {}).get("x-needs") == FOR_EVERYBODY


async def admit(request: Request) -> Principal:
    """Who asks; for all routers at once. It asks for the request alone: each dependency costs every request.

    Raises:
        Unauthorized, Forbidden: They may not do what the route does.
        TooManyRequests: They have asked for more than their share.
    """
    access = state_of(request).access
    principal = await access.authenticator.identify(await _shown(request))
    route = request.scope["route"]
    needed = permission_for(route)
    if not is_open(route):
        principal.check(needed or Permission.ADMINISTER)
    if needed != Permission.REPORT:  # `Reporter` counts these
        await access.count(principal, _body_bytes(request))
        if principal.is_known and request.method not in _ONLY_READING:
            what = f"{request.method} {printable(request.url.path)}"
            logger.info("%s (%s): %s", principal.name, principal.role, what)
    return principal


async def named(
    principal: Annotated[Principal, Depends(admit)], x_requested_by: Annotated[Requester, Header()] = ""
) -> Principal:
    """Who asks, for routes that record it: these show, and check, the header with a name."""
    return principal


def _body_bytes(request: Request) -> int:
    size: int = request.scope.get(BODY_BYTES, 0)
    return size


async def _shown(request: Request) -> Shown:
    bearer = await _bearer(request)
    return Shown(
        token=None if bearer is None else bearer.credentials,
        session=request.cookies.get(COOKIE),
        called=printable(request.headers.get("X-Requested-By", ""))[:SHORT_TEXT].strip(),
        address=request.client.host if request.client else "",
    )


def printable(text: str) -> str:
    """The text without what cannot be seen."""
    return "".join(character for character in text if character.isprintable())


class Reporter:
    """Who sends a report; for routes that take one."""

    def __init__(self, request: Request, access: AccessControl, principal: Principal) -> None:
        self._request, self._access, self._principal = request, access, principal

    async def check(self, report: UpdateInformation) -> None:
        """Return if it may report of this execution now. Raises Forbidden or TooManyRequests."""
        self._request.scope[REPORTED_EVENT] = report.update_event
        application_execution_id = report.application_execution_id
        application_execution.set(application_execution_id[:64])  # for the log
        self._principal.check_reports_of(application_execution_id)
        await self._access.count_report(application_execution_id, _body_bytes(self._request))


Admitted = Depends(admit)


async def reporter(request: Request, principal: Annotated[Principal, Depends(admit)]) -> Reporter:
    """Who sends a report."""
    return Reporter(request, state_of(request).access, principal)


ReporterDep = Annotated[Reporter, Depends(reporter)]
AdmittedDep = Annotated[Principal, Admitted]
PrincipalDep = Annotated[Principal, Depends(named)]
"""`AdmittedDep` for routes that record who asked."""
