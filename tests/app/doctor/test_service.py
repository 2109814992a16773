"""What the doctor says of a running service, and of the token that it is shown."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from app.doctor.finding import Finding, Verdict
from app.doctor.service import check_service


@asynccontextmanager
async def service(answers: Mapping[str, tuple[int, Any]]) -> AsyncIterator[str]:
    """One that answers only this, by path."""

    async def answer(request: web.Request) -> web.Response:
        status, body = answers.get(request.path, (404, {}))
        media_type = "application/json" if status < 400 else "application/problem+json"
        return web.json_response(body, status=status, content_type=media_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def found(answers: Mapping[str, tuple[int, Any]], token: str = "shown") -> dict[str, Finding]:
    async with service(answers) as url:
        return {each.subject: each for each in await check_service(url, token)}


READY = {"/readyz": (200, {"status": "ok"})}


async def test_a_token_that_is_right() -> None:
    findings = await found({**READY, "/access/me": (200, {"name": "ci", "role": "submitter"})})
    assert findings["Token"] == Finding("Token", Verdict.OK, "asks as ci, submitter")


async def test_a_token_that_is_wrong() -> None:
    refusal = 401, {"title": "Not authorized", "status": 401, "detail": "This token was revoked."}
    wrong = (await found({**READY, "/access/me": refusal}))["Token"]
    assert wrong.verdict is Verdict.WRONG
    assert "This token was revoked." in wrong.detail
    assert "enel tokens create" in wrong.mend
    missing = (await found({**READY, "/access/me": refusal}, token=""))["Token"]
    assert (missing.verdict, missing.detail) == (Verdict.WRONG, "the service wants a token, and none is set")
    nobody = 200, {"name": "127.0.0.1", "role": None, "permissions": []}
    assert (await found({**READY, "/access/me": nobody}, token=""))["Token"] == missing


async def test_a_service_that_is_not_ready() -> None:
    away = 503, {"title": "Temporarily unavailable", "status": 503, "detail": "MongoDB does not answer."}
    findings = await found({"/readyz": away})
    assert findings["Service"].verdict is Verdict.WRONG
    assert "MongoDB does not answer." in findings["Service"].detail


async def test_something_else_that_answers() -> None:
    findings = await found({})
    assert "404" in findings["Service"].detail
    assert "ENEL_URL" in findings["Service"].mend


async def test_the_real_service(service_url: str) -> None:
    findings = {each.subject: each for each in await check_service(service_url, "")}
    assert findings["Service"].verdict is Verdict.OK
    assert findings["Token"].verdict is not Verdict.WRONG
