"""What routes need of who asks, and that what was done is stored with who did it."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from app.factory import create_app
from common.auth import Role
from common.models.versions import AliasChange
from common.mongo.types import Client
from common.settings.settings import Settings
from tests.support.finished_runs import store_history
from tests.support.routes import ROUTES
from tests.support.samples import execution, specs, unique_name
from tests.support.served_model import Registered
from tests.support.tokens import ADMIN_TOKEN, Guarded, bearer, guarded_service

EXAMPLES = {"version": "1", "workspace": "NONE"}
"""Of parameters in paths that are no text; and a workspace that nobody can make."""


@pytest_asyncio.fixture(scope="module")
async def guarded(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guarded]:
    async with guarded_service(mongo_uri, mongo, tmp_path_factory.mktemp("guarded")) as service:
        yield service


@pytest_asyncio.fixture(scope="module")
async def tokens(guarded: Guarded) -> dict[Role, str]:
    """Of every role; that of the listener is for an execution that goes on."""
    made = {role: await guarded.new(f"a {role}", role) for role in Role if role is not Role.LISTENER}
    run = execution()
    await guarded.executions.insert(run)
    return {**made, Role.LISTENER: str(await guarded.tokens.issue_for_listener(run.id))}


def test_every_route_of_the_api_is_in_the_table() -> None:
    paths = create_app(Settings()).openapi()["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == set(ROUTES)


@pytest.mark.parametrize("role", [None, *Role])
async def test_each_role_may_what_it_is_for(
    guarded: Guarded, tokens: dict[Role, str], role: Role | None
) -> None:
    found, expected = {}, {}
    for (method, path), (needed, answer) in ROUTES.items():
        parts = [EXAMPLES.get(part[1:-1], "none") if part[:1] == "{" else part for part in path.split("/")]
        shown = bearer(tokens[role]) if role else {}
        response = await guarded.client.request(method, "/".join(parts), headers=shown)
        found[method, path] = response.status_code
        refusal = 401 if role is None else 403
        may = needed is None or (role is not None and needed in role.permissions)
        expected[method, path] = answer if may else refusal
    assert found == expected


async def test_refusals_are_problems_and_say_what_it_takes(guarded: Guarded, tokens: dict[Role, str]) -> None:
    refused = await guarded.client.post("/submission/submit")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["detail"] == (
        "This service wants a token here, of the role submitter or operator or admin"
        " (Authorization: Bearer …)."
    )
    refused = await guarded.client.post("/submission/submit", headers=bearer(tokens[Role.READER]))
    assert (refused.status_code, refused.json()["title"]) == (403, "Not permitted")
    assert "the token of 'a reader' is of a reader" in refused.json()["detail"]
    unknown = await guarded.client.get("/models", headers=bearer("enel_0_hunter2"))
    assert (unknown.status_code, "hunter2" in unknown.text) == (401, False)


async def test_refusals_are_counted_by_reason(guarded: Guarded, tokens: dict[Role, str]) -> None:
    async def counts() -> dict[str, float]:
        found = re.findall(
            r'enel_refused_requests_total{reason="(\w+)"} ([\d.]+)',
            (await guarded.client.get("/metrics")).text,
        )
        return {reason: float(count) for reason, count in found}

    before = await counts()
    await guarded.client.get("/models")
    await guarded.client.delete("/models/x/versions/1", headers=bearer(tokens[Role.READER]))
    await guarded.client.get("/models", headers={"Host": "evil.example.org"})
    await guarded.client.post("/submission/submit", headers={"Origin": "null"})
    await guarded.client.post("/submission/submit", content=b"x", headers={"Content-Type": "text/plain"})
    after = await counts()
    reasons = {reason for reason, count in after.items() if count == before.get(reason, 0) + 1}
    assert reasons == {"token", "permission", "host", "origin", "content_type"}


def test_the_api_shows_what_each_route_needs() -> None:
    paths = create_app(Settings()).openapi()["paths"]
    shown = {
        (method.upper(), path): operation.get("security")
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    assert shown == {
        route: None if needed is None else [{"token": [needed]}] for route, (needed, _) in ROUTES.items()
    }


# --- one's own, and what is others' ---------------------------------------------------------------------


async def test_a_submitter_ends_and_changes_what_is_its_own(guarded: Guarded) -> None:
    ada, bob = (
        await guarded.of(await guarded.new("ada", Role.SUBMITTER)),
        await guarded.of(await guarded.new("bob", Role.SUBMITTER)),
    )
    eve = await guarded.of(await guarded.new("eve", Role.OPERATOR))
    schedule = {"cron": "0 3 * * *", "submission": specs()}
    path = "/submission/schedules/nightly"
    made = await ada.post("/submission/schedules", json={"name": "nightly", **schedule})
    assert (made.status_code, made.json()["created_by"]) == (201, "ada")
    changes = [("POST", "/pause"), ("POST", "/resume"), ("PUT", ""), ("POST", "/run"), ("DELETE", "")]
    for method, below in changes:
        body = schedule if method == "PUT" else None
        refused = await bob.request(method, path + below, json=body, headers={"X-Requested-By": "ada"})
        assert refused.status_code == 403, (method, below)
        assert refused.json()["detail"] == (
            "The schedule 'nightly' belongs to 'ada', not to 'bob'; an operator may do this."
        )
    assert (await ada.post(f"{path}/pause")).json()["updated_by"] == "ada"
    assert (await eve.put(path, json=schedule)).json()["updated_by"] == "eve"
    assert (await eve.get(path)).json()["created_by"] == "ada"
    assert (await ada.delete(path)).status_code == 200


async def test_a_submitter_kills_its_own(guarded: Guarded, tokens: dict[Role, str]) -> None:
    for owner, expected in (("a submitter", 200), ("somebody", 403), (None, 403)):
        run = execution()
        run.submitted_by, run.runner = owner, "local"
        await guarded.executions.insert(run)
        client = await guarded.of(tokens[Role.SUBMITTER])
        path = f"/submission/applications/{run.id}?requested_by=somebody"
        assert (await client.delete(path)).status_code in (expected, 409 if expected == 200 else expected)
        stored = await guarded.executions.get(run.id)
        assert stored.kill_requested_by in (None, "a submitter")


async def test_a_submitter_cancels_its_own_trainings(guarded: Guarded, tokens: dict[Role, str]) -> None:
    algorithm_name = unique_name("Own")
    await store_history(guarded.executions, algorithm_name)
    submitter, admin = await guarded.of(tokens[Role.SUBMITTER]), await guarded.of(ADMIN_TOKEN)
    request = {"algorithm_name": algorithm_name, "model_name": "onlinepredictor", "trials": 1}
    started = (await admin.post("/training/trigger_model_training", json=request)).json()
    path = f"/training/runs/{started['training_id']}"
    assert (started["requested_by"], (await submitter.post(f"{path}/cancel")).status_code) == ("admin", 403)
    cancelled = await admin.post(f"{path}/cancel")
    assert (cancelled.status_code, cancelled.json()["cancel_requested_by"]) == (202, "admin")


# --- the record, where access is open -------------------------------------------------------------------


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
