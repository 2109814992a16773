"""The pages as one application beside the API: its own errors, static files, and addresses under `/ui`."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

from app.dashboard import application, applications, models, overview, schedules, submit, trainings
from app.dashboard.rendering import render
from app.http.problems import HANDLERS
from routers.principal import Admitted

PREFIX = "/ui"

_HERE = Path(__file__).parent

Handler = Callable[[Request, Exception], Awaitable[Response]]


def install(app: FastAPI) -> None:
    """Serve the pages under `/ui`; `/` leads there."""
    pages = FastAPI(openapi_url=None, redirect_slashes=False)
    for error, handler in HANDLERS.items():
        pages.add_exception_handler(error, _as_page(handler))
    pages.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    for module in (overview, applications, application, submit, schedules, trainings, models):
        pages.include_router(module.router, dependencies=[Admitted])
    app.mount(PREFIX, pages)
    app.add_api_route("/", lambda: RedirectResponse(f"{PREFIX}/"), include_in_schema=False)


def _as_page(handler: Handler) -> Handler:
    """What the API would answer as a problem, for people."""

    async def render_problem(request: Request, error: Exception) -> Response:
        answer = await handler(request, error)
        problem = json.loads(bytes(answer.body))
        page = render(request, "problem.html", problem=problem)
        page.status_code = answer.status_code
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        page.headers.update(kept)
        return page

    return render_problem
