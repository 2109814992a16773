"""What routes need of who asks, and that what was done is stored with who did it."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from app.factory import create_app
from common.auth import Credentials, Permission, Role
from common.models.versions import AliasChange
from common.settings.settings import Settings
from routers.principal import get_credentials
from tests.support.finished_runs import store_history
from tests.support.samples import specs, unique_name
from tests.support.served_model import Registered

TOKENS = {role: f"a-token-for-{role.in_words}" for role in Role}
REPORTS = {"/training/update_information", "/prediction/online_scale_out_prediction"}
OPEN = {"/healthz", "/readyz", "/metrics"}


def operations() -> list[tuple[str, str]]:
    """Method and path of all that the API describes."""
    paths = create_app(Settings()).openapi()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


@pytest_asyncio.fixture(scope="module")
async def guarded() -> AsyncIterator[httpx.AsyncClient]:
    """A service that has a token for every role, and nothing else: what is let in fails."""
    app = create_app(Settings())
    credentials = Credentials({role: SecretStr(token) for role, token in TOKENS.items()})
    app.dependency_overrides[get_credentials] = lambda: credentials
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest.mark.parametrize(("method", "path"), [each for each in operations() if each[1] not in OPEN])
async def test_no_route_forgets_to_ask(guarded: httpx.AsyncClient, method: str, path: str) -> None:
    async def status(role: Role | None) -> int:
        shown = {} if role is None else {"Authorization": f"Bearer {TOKENS[role]}"}
        return (await guarded.request(method, path, headers=shown)).status_code

    needed = Permission.READ if method == "GET" else Permission.OPERATE
    if path in REPORTS:
        needed = Permission.REPORT
    assert await status(None) == 401
    for role in Role:
        assert (await status(role) in (401, 403)) == (needed not in role.permissions)


async def test_a_refusal_says_whose_token_is_wanted(guarded: httpx.AsyncClient) -> None:
    path = "/training/update_information"
    refused = await guarded.post(path, headers={"Authorization": f"Bearer {TOKENS[Role.OPERATOR]}"})
    assert (refused.status_code, refused.json()["title"]) == (403, "Not permitted")
    assert "listeners" in refused.json()["detail"]
    refused = await guarded.post("/submission/submit")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["detail"] == "This service wants a token from operators (Authorization: Bearer …)."


def test_the_api_shows_which_routes_want_the_token() -> None:
    paths = create_app(Settings()).openapi()["paths"]
    shown = {
        path: operation["security"]
        for path, methods in paths.items()
        for operation in methods.values()
        if "security" in operation
    }
    assert shown == {path: [{"callback token": ["report"]}] for path in REPORTS}


ADA = {"X-Requested-By": "ada\t"}


@pytest.mark.parametrize(("headers", "who"), [(ADA, "ada"), ({}, "127.0.0.1")])
async def test_what_is_submitted_is_stored_with_who_did_so(
    service: httpx.AsyncClient, headers: dict[str, str], who: str
) -> None:
    planned = await service.post("/submission/submit?dry_run=true", json=specs(), headers=headers)
    assert planned.json()["db_entry"]["submitted_by"] == who
    too_long = await service.post("/submission/submit", json=specs(), headers={"X-Requested-By": "x" * 300})
    assert too_long.status_code == 422


async def test_who_promoted_and_who_asked_for_a_training(
    service: httpx.AsyncClient, model: Registered
) -> None:
    for _ in range(2):
        await model.publish()
    path = f"{model.path}/aliases/champion"
    promoted = (await service.put(path, json={"version": 1}, headers=ADA)).json()
    removed = (await service.delete(path, headers={"X-Requested-By": "bob"})).json()
    assert promoted["alias_changes"][0]["by"] == "ada"
    assert [change["by"] for change in removed["alias_changes"]] == ["bob", "ada", None, None]

    algorithm_name = unique_name("Asked")
    await store_history(model.executions, algorithm_name)
    request = {
        "system_name": "spark",
        "algorithm_name": algorithm_name,
        "model_name": "onlinepredictor",
        "trials": 1,
    }
    started = (await service.post("/training/trigger_model_training", json=request, headers=ADA)).json()
    await service.delete(f"/training/runs/{started['training_id']}")
    stored = (await service.get(f"/training/runs/{started['training_id']}")).json()
    assert started["requested_by"] == stored["requested_by"] == "ada"


def test_what_was_stored_without_a_name_stays_readable() -> None:
    change = AliasChange.model_validate(
        {"alias": "champion", "version": 1, "previous": None, "at": "2026-01-01T00:00:00Z", "reason": "first"}
    )
    assert change.by is None
