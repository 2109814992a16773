"""Who looks at a page, and whether a form comes from one of ours."""

from fastapi import Depends, Request
from starlette.datastructures import FormData

from app.http.csrf import FIELD, CsrfTokens
from common.access.control import AccessControl
from common.access.sessions import COOKIE
from common.auth import Principal
from routers.dependencies import AccessDep, state_of
from routers.principal import AdmittedDep

_ONLY_READING = ("GET", "HEAD")


async def checked(request: Request, access: AccessDep) -> None:
    """For every route of the pages, once it is known who asks: whose session has ended is to log in.

    Raises:
        Forbidden: A form was sent without the token that its page has.
    """
    if request.method not in _ONLY_READING:
        check_form(request, access, await request.form())


def check_form(request: Request, access: AccessControl, form: FormData) -> None:
    """Return if a form was shown to whoever sends it. Raises Forbidden."""
    CsrfTokens(access.sessions.key).check(*_whose(request, access), str(form.get(FIELD, "")))


async def remembered(request: Request, principal: AdmittedDep) -> None:
    """For routes that are not open to everybody: templates say who looks, and leave out what they may not."""
    request.state.principal = principal


def csrf_token(request: Request) -> str:
    """For the forms of a page that answers this request."""
    access = state_of(request).access
    return CsrfTokens(access.sessions.key).issue(*_whose(request, access))


def principal_of(request: Request) -> Principal | None:
    """None on pages that are open to everybody, and before anybody was let in."""
    found: Principal | None = getattr(request.state, "principal", None)
    return found


def has_session(request: Request) -> bool:
    """Whether there is anything to log out of."""
    return COOKIE in request.cookies


def _whose(request: Request, access: AccessControl) -> tuple[str, str]:
    """Id of the token that the session was begun with, and the name of who asks; empty: there is none."""
    session = access.sessions.read(request.cookies.get(COOKIE, ""))
    principal = principal_of(request)
    name = principal.name if principal is not None and principal.is_known else ""
    return session.token_id if session is not None else "", name


Checked = Depends(checked)
Remembered = Depends(remembered)
