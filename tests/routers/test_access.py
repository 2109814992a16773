"""Tokens and sessions over HTTP: made, shown once, used, revoked."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio
from pymongo.errors import ServerSelectionTimeoutError

from common.access.repository import AccessTokenRepository
from common.access.sessions import COOKIE
from common.access.tokens import CACHE_SECONDS
from common.auth import Role
from common.mongo.document import utc_now
from common.mongo.types import Client
from common.settings.settings import Settings
from tests.support.samples import application_start, execution, job_end, unique_name
from tests.support.services import service_in_process
from tests.support.tokens import ADMIN_TOKEN, Guarded, bearer, guarded_service

ADMIN = bearer(ADMIN_TOKEN)


@pytest_asyncio.fixture(scope="module")
async def guarded(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guarded]:
    async with guarded_service(mongo_uri, mongo, tmp_path_factory.mktemp("guarded")) as service:
        yield service


async def test_a_token_is_shown_once_and_stored_as_a_hash(guarded: Guarded, mongo: Client) -> None:
    body = {"name": "grace", "role": "submitter"}
    made = await guarded.client.post("/access/tokens", json=body, headers=ADMIN)
    token = made.json()
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    assert (token["name"], token["role"], token["created_by"]) == ("grace", "submitter", "admin")
    shown = await guarded.client.get(made.headers["location"], headers=ADMIN)
    listed = await guarded.client.get("/access/tokens", headers=ADMIN)
    secret = token["token"].split("_", 2)[2]
    assert secret not in shown.text + listed.text
    assert "sha256" not in shown.text + listed.text
    stored = await mongo[guarded.client.database]["access_token"].find_one({"_id": token["id"]})  # type: ignore[attr-defined]
    assert stored["secret_sha256"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str(stored)


async def test_who_am_i(guarded: Guarded) -> None:
    ada = await guarded.of(await guarded.new("who", Role.SUBMITTER))
    me = (await ada.get("/access/me")).json()
    assert (me["name"], me["role"], me["permissions"]) == ("who", "submitter", ["read", "submit"])
    nobody = (await guarded.client.get("/access/me")).json()
    assert (nobody["role"], nobody["permissions"]) == (None, [])


async def test_when_a_token_was_last_shown_is_noted(guarded: Guarded) -> None:
    text = await guarded.new("noted", Role.READER)
    await (await guarded.of(text)).get("/models")
    path = f"/access/tokens/{text.split('_')[1]}"
    for _ in range(50):
        seen = (await guarded.client.get(path, headers=ADMIN)).json()
        if seen["last_used_at"]:
            return
    pytest.fail("not noted")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"role": "listener"}, "for each application execution"),
        ({"name": "Admin"}, "the service's own"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "that has passed"),
        ({"role": "king"}, "role"),
        ({"name": "a\tb"}, "name"),
    ],
)
async def test_tokens_that_are_refused(guarded: Guarded, change: dict[str, str], said: str) -> None:
    body = {"name": unique_name("refused"), "role": "reader", **change}
    refused = await guarded.client.post("/access/tokens", json=body, headers=ADMIN)
    assert refused.status_code == 422
    assert said in refused.json()["detail"]


async def test_a_name_belongs_to_one_token_until_it_is_revoked(guarded: Guarded) -> None:
    first = await guarded.new("one", Role.READER)
    body = {"name": "one", "role": "reader"}
    assert (await guarded.client.post("/access/tokens", json=body, headers=ADMIN)).status_code == 409
    path = f"/access/tokens/{first.split('_')[1]}"
    revoked = (await guarded.client.delete(path, headers=ADMIN)).json()
    assert (revoked["revoked_by"], revoked["revoked_at"] is None) == ("admin", False)
    assert (await guarded.client.delete(path, headers=ADMIN)).json() == revoked
    await guarded.new("one", Role.READER)
    assert (await (await guarded.of(first)).get("/models")).status_code == 401


async def test_a_revoked_token_counts_no_more_at_once(guarded: Guarded) -> None:
    text = await guarded.new(unique_name("gone"), Role.READER)
    client = await guarded.of(text)
    assert (await client.get("/models")).status_code == 200
    await guarded.client.delete(f"/access/tokens/{text.split('_')[1]}", headers=ADMIN)
    assert (await client.get("/models")).status_code == 401


async def test_one_that_another_service_revoked_counts_for_seconds(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await guarded.new(unique_name("elsewhere"), Role.READER)
    client = await guarded.of(text)
    assert (await client.get("/models")).status_code == 200
    await guarded.tokens.revoke(text.split("_")[1], "ada")
    assert (await client.get("/models")).status_code == 200
    assert CACHE_SECONDS <= 5
    from common.access import tokens

    now = tokens.monotonic_seconds()
    monkeypatch.setattr(tokens, "monotonic_seconds", lambda: now + CACHE_SECONDS)
    assert (await client.get("/models")).status_code == 401


async def test_a_token_expires(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    soon = (utc_now() + timedelta(hours=1)).isoformat()
    name = unique_name("brief")
    client = await guarded.of(await guarded.new(name, Role.READER, expires_at=soon))
    assert (await client.get("/models")).status_code == 200
    from common.access import repository, tokens

    for module in (repository, tokens):
        monkeypatch.setattr(module, "utc_now", lambda: utc_now() + timedelta(hours=1))
    assert (await client.get("/models")).status_code == 401
    await guarded.new(name, Role.READER)  # the name is free again


async def test_pages_of_tokens(guarded: Guarded) -> None:
    made = [await guarded.new(unique_name("page"), Role.READER) for _ in range(3)]
    seen: list[str] = []
    cursor = None
    while cursor is not None or not seen:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await guarded.client.get("/access/tokens", params=params, headers=ADMIN)).json()
        seen += [token["id"] for token in page["items"]]
        cursor = page["next_cursor"]
    assert seen[:3] == [text.split("_")[1] for text in made[::-1]]
    assert len(set(seen)) == len(seen)


async def test_while_mongodb_is_away_a_token_is_not_called_wrong(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await guarded.of(await guarded.new(unique_name("away"), Role.READER))

    async def away(*_: object) -> None:
        raise ServerSelectionTimeoutError("no servers found")

    monkeypatch.setattr(AccessTokenRepository, "find", away)
    answer = await client.get("/models")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert (await guarded.client.get("/models", headers=ADMIN)).status_code == 200, "of the settings"


# --- listeners --------------------------------------------------------------------------------------------


async def test_a_listener_reports_of_its_execution_alone(guarded: Guarded) -> None:
    own, other = execution(), execution()
    for run in (own, other):
        await guarded.executions.insert(run)
    listener = await guarded.of(str(await guarded.tokens.issue_for_listener(own.id)))
    for run, expected in ((own, 200), (other, 403)):
        start = await listener.post("/training/update_information", json=application_start(run.id))
        asked = await listener.post(
            "/prediction/online_scale_out_prediction", json={**job_end(run.id, 0), "predict": False}
        )
        assert (start.status_code, asked.status_code) == (expected, expected)
    assert (await guarded.executions.get(other.id)).application_id is None


async def test_a_listeners_token_dies_with_its_execution(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.access import tokens
    from common.executions.documents import ApplicationState

    run = execution()
    await guarded.executions.insert(run)
    listener = await guarded.of(str(await guarded.tokens.issue_for_listener(run.id)))
    path, report = "/training/update_information", application_start(run.id)
    await guarded.executions.record_state(run.id, ApplicationState.COMPLETED, fields={"end_time": utc_now()})
    assert (await listener.post(path, json=report)).status_code == 200, "late reports are taken"
    monkeypatch.setattr(tokens, "utc_now", lambda: utc_now() + timedelta(hours=1))
    assert (await listener.post(path, json=report)).status_code == 401
    await guarded.tokens.collect_ended()
    assert run.id not in await guarded.tokens.stored.executions_with_tokens()


# --- sessions ---------------------------------------------------------------------------------------------


async def test_a_session_stands_for_its_token(guarded: Guarded) -> None:
    text = await guarded.new(unique_name("page"), Role.READER)
    browser = await guarded.of(None)
    begun = await browser.post("/access/session", json={"token": text})
    cookie = begun.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert text.split("_", 2)[2] not in cookie
    assert (await browser.get("/models")).status_code == 200
    assert (await browser.get("/access/tokens")).status_code == 403
    await guarded.client.delete(f"/access/tokens/{text.split('_')[1]}", headers=ADMIN)
    assert (await browser.get("/models")).status_code == 401


async def test_a_session_of_the_admin_of_the_settings(guarded: Guarded) -> None:
    browser = await guarded.of(None)
    assert (await browser.post("/access/session", json={"token": ADMIN_TOKEN})).json()["role"] == "admin"
    assert ADMIN_TOKEN not in str(browser.cookies)
    assert (await browser.get("/access/tokens")).status_code == 200
    await browser.delete("/access/session")
    assert (await browser.get("/access/tokens")).status_code == 401


async def test_a_forged_or_foreign_cookie_is_nobodys(guarded: Guarded) -> None:
    from pydantic import SecretStr

    from common.access.sessions import Sessions

    forged = Sessions(SecretStr("another key"), 3600).sign("setting/0123456789abcdef")
    for cookie in (forged, "x", ""):
        answer = await guarded.client.get("/models", headers={"Cookie": f"{COOKIE}={cookie}"})
        assert answer.status_code == 401
    wrong = await guarded.client.post("/access/session", json={"token": "enel_a_b"})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)


# --- the first token ----------------------------------------------------------------------------------------


async def test_the_first_admins_token_is_printed_once(
    mongo_uri: str, mongo: Client, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    database = unique_name("first")

    def by_tokens(settings: Settings) -> None:
        settings.access.access_control = "tokens"
        settings.mongo.mongodb_database = database

    async with service_in_process(mongo_uri, tmp_path, configure=by_tokens) as client:  # type: ignore[arg-type]
        printed = capsys.readouterr().out
        [text] = [word for word in printed.split() if word.startswith("enel_")]
        me = (await client.get("/access/me", headers=bearer(text))).json()
        assert (me["name"], me["role"]) == ("first-admin", "admin")
        path = f"/access/tokens/{text.split('_')[1]}"
        kept = await client.delete(path, headers=bearer(text))
        assert (kept.status_code, kept.json()["title"]) == (409, "Nobody could make tokens any more")
        assert (await client.get("/access/me", headers=bearer(text))).status_code == 200
        body = {"name": "second", "role": "admin"}
        assert (await client.post("/access/tokens", json=body, headers=bearer(text))).status_code == 201
        assert (await client.delete(path, headers=bearer(text))).status_code == 200
    async with service_in_process(mongo_uri, tmp_path, configure=by_tokens):  # type: ignore[arg-type]
        assert "enel_" not in capsys.readouterr().out


async def test_where_access_is_open_nobody_logs_in(service: httpx.AsyncClient) -> None:
    refused = await service.post("/access/session", json={"token": "x"})
    assert refused.status_code == 409
    me = (await service.get("/access/me", headers={"X-Requested-By": "ada"})).json()
    assert (me["name"], me["role"]) == ("ada", None)
    assert "administer" in me["permissions"]
