"""The page to log in on, where access is by tokens."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import SecretStr

from app.dashboard.rendering import render, see_other
from common.errors import ServiceError
from routers import access as api
from routers.access import LogIn
from routers.dependencies import AccessDep
from routers.principal import OPEN

router = APIRouter()


def _inside(page: str) -> str:
    """A page of ours to go on to, whatever was asked for."""
    return page if page.startswith("/") and not page.startswith(("//", "/\\")) else "/"


@router.get("/login", openapi_extra=OPEN)
async def form(request: Request, to: str = "/") -> Response:
    """Asks for a token."""
    return render(request, "login.html", to=_inside(to), error="")


@router.post("/login", openapi_extra=OPEN)
async def log_in(
    request: Request,
    access: AccessDep,
    token: Annotated[str, Form(max_length=1000)] = "",
    to: Annotated[str, Form(max_length=1000)] = "/",
) -> Response:
    """Begin a session, and go where one wanted to."""
    answer = see_other(request, _inside(to))
    try:
        await api.log_in(LogIn(token=SecretStr(token)), request, access, answer)
    except ServiceError as error:
        page = render(request, "login.html", to=_inside(to), error=str(error))
        page.status_code = error.status
        return page
    return answer


@router.post("/logout", openapi_extra=OPEN)
async def log_out(request: Request) -> Response:
    """End the session."""
    answer = see_other(request, "/login")
    await api.log_out(answer)
    return answer
