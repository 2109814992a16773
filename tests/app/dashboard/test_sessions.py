"""Forms that are open when a session ends, on a service that wants tokens."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from common.auth import Role
from common.mongo.types import Client
from tests.support.samples import unique_name
from tests.support.tokens import ADMIN_TOKEN, Guarded, bearer, guarded_service

WHAT_IF = "/ui/submit/what-if"
PART = {"HX-Request": "true"}


@pytest_asyncio.fixture(scope="module")
async def guarded(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guarded]:
    async with guarded_service(mongo_uri, mongo, tmp_path_factory.mktemp("guarded")) as service:
        yield service


async def logged_in(guarded: Guarded, token: str) -> httpx.AsyncClient:
    """A browser with a session."""
    browser = await guarded.of(None)
    assert (await browser.post("/access/session", json={"token": token})).status_code == 200
    return browser


async def token_of_a_form(browser: httpx.AsyncClient, page: str = "/ui/submit") -> str:
    shown = await browser.get(page)
    return str(re.findall(r'name="csrf_token" value="([^"]+)"', shown.text)[-1])


async def test_who_logs_in_again_goes_on_with_the_form(guarded: Guarded) -> None:
    name = unique_name("ada")
    text = await guarded.new(name, Role.SUBMITTER)
    browser = await logged_in(guarded, text)
    form = {"csrf_token": await token_of_a_form(browser)}
    assert (await browser.post(WHAT_IF, data=form, headers=PART)).status_code == 200

    await guarded.client.delete(f"/access/tokens/{text.split('_')[1]}", headers=bearer(ADMIN_TOKEN))
    assert (await browser.post(WHAT_IF, data=form, headers=PART)).status_code == 401
    browser.cookies.clear()  # as a browser does when the session is over
    assert (await browser.post(WHAT_IF, data=form, headers=PART)).status_code == 401
    left = await browser.post("/ui/submit", data=form)
    assert (left.status_code, left.headers["location"]) == (303, "/ui/login")

    await browser.post("/access/session", json={"token": await guarded.new(name, Role.SUBMITTER)})
    assert (await browser.post(WHAT_IF, data=form, headers=PART)).status_code == 200


async def test_a_form_of_somebody_else_is_refused(guarded: Guarded) -> None:
    ada, eve = [
        await logged_in(guarded, await guarded.new(unique_name(name), Role.SUBMITTER))
        for name in ("ada", "eve")
    ]
    nobody = await guarded.of(None)
    for token in (await token_of_a_form(ada), await token_of_a_form(nobody, "/ui/login")):
        refused = await eve.post(WHAT_IF, data={"csrf_token": token}, headers=PART)
        assert (refused.status_code, "load the page again" in refused.text) == (403, True)


async def test_one_logs_out_from_any_page(guarded: Guarded) -> None:
    for page in ("/ui/submit", "/ui/nothing", "/ui/login"):
        browser = await logged_in(guarded, await guarded.new(unique_name("ada"), Role.SUBMITTER))
        left = await browser.post("/ui/logout", data={"csrf_token": await token_of_a_form(browser, page)})
        assert (left.status_code, left.headers["location"]) == (303, "/ui/login"), page
        assert (await browser.get("/models")).status_code == 401
