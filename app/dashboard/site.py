"""The pages as one application beside the API: its own errors, static files, and addresses under `/ui`."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from app.dashboard import application, applications, login, models, overview, schedules, submit, trainings
from app.dashboard.predictions import asking, managing
from app.dashboard.predictions import page as predictions
from app.dashboard.programs import page as programs
from app.dashboard.programs import pipelines, runs
from app.dashboard.rendering import render
from app.dashboard.visitors import Checked, Remembered
from app.http.problems import HANDLERS
from common.errors import Unauthorized

PREFIX = "/ui"

SECTIONS = ("applications", "schedules", "trainings", "models")
"""Pages that list something, by the first part of their addresses."""

_IS_PART = "HX-Request"
"""Header of requests for a part of a page that is open."""

_HERE = Path(__file__).parent

Handler = Callable[[Request, Exception], Awaitable[Response]]


def install(app: FastAPI) -> None:
    """Serve the pages under `/ui`; `/`, and in a browser `/training` and `/prediction`, lead there."""
    pages = FastAPI(openapi_url=None, redirect_slashes=False)
    for error, handler in HANDLERS.items():
        pages.add_exception_handler(error, _as_page(handler))
    pages.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    pages.include_router(login.router, dependencies=[Checked])
    of_programs, of_predictions = (programs, runs, pipelines), (predictions, managing)
    of_runs = (overview, applications, application, submit)
    for module in (*of_runs, *of_programs, *of_predictions, schedules, trainings, models):
        pages.include_router(module.router, dependencies=[Remembered, Checked])
    pages.include_router(asking.router, dependencies=[Remembered])  # its form is larger: it checks it itself
    app.mount(PREFIX, pages)
    app.add_api_route("/", lambda: RedirectResponse(f"{PREFIX}/"), include_in_schema=False)
    for path in ("/training", "/prediction"):
        app.add_api_route(path, _to_page, include_in_schema=False)


async def _to_page(request: Request) -> RedirectResponse:
    """Of the API's own addresses below such a path this is none: programs that ask for it are told so."""
    if "text/html" not in request.headers.get("accept", "").lower():
        raise HTTPException(404)
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{PREFIX}{request.url.path}{query}")


def _as_page(handler: Handler) -> Handler:
    """What the API would answer as a problem, for people."""

    async def render_problem(request: Request, error: Exception) -> Response:
        if isinstance(error, Unauthorized):
            return _to_login(request)
        answer = await handler(request, error)
        problem = json.loads(bytes(answer.body))
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        if _IS_PART in request.headers:
            return PlainTextResponse(f"{problem['title']}: {problem['detail']}", answer.status_code, kept)
        if isinstance(error, HTTPException) and error.status_code == 404:  # no route of this name
            problem |= {"title": "There is no such page", "detail": "Choose one of the pages above."}
        page = render(request, "problem.html", problem=problem, sections=SECTIONS)
        page.status_code = answer.status_code
        page.headers.update(kept)
        return page

    return render_problem


def _to_login(request: Request) -> Response:
    """Back here afterwards, if it is a page that can be asked for again."""
    page = request.url.path.removeprefix(PREFIX) or "/"
    to = f"{page}?{request.url.query}" if request.url.query else page
    login = f"{PREFIX}/login?{urlencode({'to': to})}" if request.method == "GET" else f"{PREFIX}/login"
    if _IS_PART in request.headers:  # a part of a page that is open, and may hold what somebody has typed
        return Response(status_code=401)
    return RedirectResponse(login, status_code=303)
