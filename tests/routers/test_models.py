"""The model registry over HTTP, periodic trainings, and how the API describes them."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app.factory import create_app
from common.executions.repository import ExecutionRepository
from common.models.versions import model_name
from common.mongo.types import Client
from common.settings.settings import Settings
from tests.support.answers import is_problem
from tests.support.finished_runs import store_history
from tests.support.registered import FILES
from tests.support.samples import unique_name
from tests.support.served_model import Registered
from tests.support.services import service_in_process

# --- reading --------------------------------------------------------------------------------------


async def test_models_are_listed_page_by_page(service: httpx.AsyncClient, model: Registered) -> None:
    names = sorted(unique_name("Listed") for _ in range(5))
    for name in names:
        await model.publish(algorithm_name=name)
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await service.get("/models", params={"limit": 2, **cursor})).json()
        found += page["items"]
        assert len(page["items"]) <= 2
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    listed = [entry["name"] for entry in found]
    assert listed == sorted(set(listed))
    assert {model_name("spark", name, "onlinepredictor") for name in names} <= set(listed)
    [one] = (await service.get("/models", params={"algorithm_name": names[2]})).json()["items"]
    assert one["name"] == model_name("spark", names[2], "onlinepredictor")
    assert (one["kind"], one["system_name"], one["algorithm_name"]) == ("onlinepredictor", "spark", names[2])
    assert (one["latest_version"], one["champion"]) == (1, 1)
    assert one["aliases"]["champion"]["version"] == 1
    nothing = (await service.get("/models", params={"algorithm_name": "none"})).json()
    assert (nothing["items"], nothing["next_cursor"], nothing["unreadable"]) == ([], None, [])


async def test_a_model_tells_what_serves_and_what_is_in_memory(
    service: httpx.AsyncClient, model: Registered, trained: Mapping[str, bytes]
) -> None:
    await model.publish(trained)
    await model.publish(trained)
    before = (await service.get(model.path)).json()
    assert (before["champion"], before["latest_version"]) == (2, 2)
    assert (before["cached_here"], before["cached_versions"]) == (False, [])
    champion = before["champion_version"]
    assert champion["id"] == f"{model.name}/2"
    assert (champion["state"], champion["aliases"], champion["cached_here"]) == ("READY", ["champion"], False)
    assert champion["size_bytes"] == sum(map(len, trained.values()))
    assert (champion["training_data"]["runs"], champion["training_data"]["run_ids"]) == (4, [])
    changes = [(change["version"], change["previous"]) for change in before["alias_changes"]]
    assert changes == [(2, 1), (1, None)]  # newest first

    preloaded = await service.get(f"/prediction/preload/{model.algorithm_name}")
    assert preloaded.status_code == 200, preloaded.text
    assert (preloaded.json()["model"], preloaded.json()["version"]) == (model.name, 2)
    after = (await service.get(model.path)).json()
    assert (after["cached_here"], after["cached_versions"]) == (True, [2])
    assert after["champion_version"]["cached_here"]
    one = (await service.get(f"{model.path}/versions/1")).json()
    assert (one["cached_here"], one["aliases"]) == (False, [])


async def test_versions_are_listed_newest_first(service: httpx.AsyncClient, model: Registered) -> None:
    versions = [await model.publish(champion=number != 4) for number in range(5)]
    await service.delete(f"{model.path}/versions/2")
    path = f"{model.path}/versions"
    first = (await service.get(path, params={"limit": 3})).json()
    rest = (await service.get(path, params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [[entry["version"] for entry in page["items"]] for page in (first, rest)] == [[5, 4, 3], [1]]
    assert rest["next_cursor"] is None
    assert [entry["aliases"] for entry in first["items"]] == [[], ["champion"], []]
    assert all(entry["training_data"]["run_ids"] == [] for entry in first["items"])
    deleted = (await service.get(path, params={"state": "DELETED"})).json()["items"]
    assert [(entry["version"], entry["state"]) for entry in deleted] == [(2, "DELETED")]

    one = (await service.get(f"{path}/1")).json()
    assert one["training_data"]["run_ids"] == ["a", "b", "c", "d"]
    assert {file["name"] for file in one["files"]} == set(FILES)
    assert one["artifact_key"] == versions[0].artifact_key
    assert one["promotion"]["promoted"] is True
    assert (await service.get(f"{path}/5")).json()["promotion"]["promoted"] is False


async def test_a_model_without_a_champion_is_shown(service: httpx.AsyncClient, model: Registered) -> None:
    await model.publish(champion=False)
    shown = (await service.get(model.path)).json()
    assert (shown["champion"], shown["champion_version"], shown["cached_here"]) == (None, None, False)
    missing = await service.get(f"/prediction/preload/{model.algorithm_name}")
    assert "No model" in is_problem(missing, 404)["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/versions"),
        ("GET", "/versions/1"),
        ("POST", "/versions/1/verify"),
        ("DELETE", "/versions/1"),
        ("PUT", "/aliases/champion"),
        ("DELETE", "/aliases/champion"),
    ],
)
async def test_what_is_unknown_is_404(
    service: httpx.AsyncClient, model: Registered, method: str, path: str
) -> None:
    body = {"json": {"version": 1}} if method == "PUT" else {}
    problem = is_problem(await service.request(method, f"{model.path}{path}", **body), 404)
    assert model.name in problem["detail"]
    await model.publish()
    if "/versions/" in path:
        missing = await service.request(method, f"{model.path}{path.replace('1', '2')}")
        assert "version 2" in is_problem(missing, 404)["detail"]


WEIRD = [
    "%2e%2e",
    "..%2F..%2Fetc",
    "%00",
    "%ff",
    "é",
    "a%20b",
    "$where",
    "%7B%22$gt%22:%22%22%7D",
    "x" * 5000,
]


@pytest.mark.parametrize("name", WEIRD, ids=range(len(WEIRD)))
async def test_weird_names_in_paths_are_problems(
    service: httpx.AsyncClient, model: Registered, name: str
) -> None:
    await model.publish()
    for path in (
        f"/models/{name}",
        f"/models/{name}/versions",
        f"/models/{name}/versions/1",
        f"{model.path}/versions/{name}",
    ):
        response = await service.get(path)
        is_problem(response, response.status_code)
        assert response.status_code in (404, 422)
    response = await service.put(f"{model.path}/aliases/{name}", json={"version": 1})
    is_problem(response, response.status_code)
    assert response.status_code in (404, 422)
    assert set((await model.registry.get_model(model.name)).aliases) == {"champion"}


@pytest.mark.parametrize(
    "path",
    [
        "/models?limit=0",
        "/models?limit=201",
        "/models?limit=many",
        "/models?cursor=" + "x" * 800,
        "/models?algorithm_name=" + "x" * 300,
        "/models/a/versions?state=LOST",
        "/models/a/versions?cursor=x",
        "/models/a/versions?cursor=0",
        "/models/a/versions/0",
        "/models/a/versions/-1",
        "/models/a/versions/1.5",
        "/models/a/versions/" + "9" * 5000,
    ],
    ids=range(12),
)
async def test_questions_that_make_no_sense_are_422(service: httpx.AsyncClient, path: str) -> None:
    is_problem(await service.get(path), 422)


# --- changing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"version": 0},
        {"version": -1},
        {"version": 1.5},
        {"version": "newest"},
        {"version": True},
        {"version": 2**40},
        {"version": 1, "reason": 3},
        {"version": 1, "reason": "x" * 1001},
    ],
)
async def test_aliases_that_cannot_be_set_are_422(
    service: httpx.AsyncClient, model: Registered, body: object
) -> None:
    await model.publish(champion=False)
    problem = is_problem(await service.put(f"{model.path}/aliases/champion", json=body), 422)
    assert problem["errors"][0]["message"]
    assert (await model.registry.get_model(model.name)).champion is None


@pytest.mark.parametrize("alias", ["Champion", "1st", "a.b", "$set", "a%20b", "x" * 65, "-"])
async def test_an_alias_is_a_plain_name(service: httpx.AsyncClient, model: Registered, alias: str) -> None:
    await model.publish()
    path = f"{model.path}/aliases/{alias}"
    is_problem(await service.put(path, json={"version": 1}), 422)
    is_problem(await service.delete(path), 422)


async def test_an_alias_of_ones_own(service: httpx.AsyncClient, model: Registered) -> None:
    for _ in range(2):
        await model.publish()
    shown = (await service.put(f"{model.path}/aliases/last-good_1", json={"version": 1})).json()
    assert {alias: entry["version"] for alias, entry in shown["aliases"].items()} == {
        "champion": 2,
        "last-good_1": 1,
    }
    assert shown["alias_changes"][0]["reason"] == "on request"
    is_problem(await service.delete(f"{model.path}/versions/1"), 409)
    for _ in range(2):
        assert (await service.delete(f"{model.path}/aliases/last-good_1")).status_code == 200
    assert (await service.delete(f"{model.path}/versions/1")).status_code == 200


async def test_a_version_is_deleted_unless_an_alias_names_it(
    service: httpx.AsyncClient, model: Registered
) -> None:
    versions = [await model.publish() for _ in range(2)]
    assert "champion" in is_problem(await service.delete(f"{model.path}/versions/2"), 409)["detail"]
    for _ in range(2):
        deleted = await service.delete(f"{model.path}/versions/1")
        assert (deleted.status_code, deleted.json()["state"]) == (200, "DELETED")
    assert not model.weights(versions[0]).exists()
    assert (await service.get(f"{model.path}/versions/1")).json()["state"] == "DELETED"
    is_problem(await service.put(f"{model.path}/aliases/champion", json={"version": 1}), 409)
    is_problem(await service.post(f"{model.path}/versions/1/verify"), 409)


async def test_verifying_tells_damage_and_what_was_restored(
    service: httpx.AsyncClient, model: Registered
) -> None:
    versions = [await model.publish() for _ in range(2)]
    path = f"{model.path}/versions/2"
    assert (await service.post(f"{path}/verify")).json()["state"] == "READY"
    model.weights(versions[1]).write_bytes(b"")
    damaged = (await service.post(f"{path}/verify")).json()
    assert (damaged["state"], damaged["aliases"]) == ("DAMAGED", [])
    assert "weights.safetensors has 0 bytes" in damaged["state_reason"]
    assert (await service.get(model.path)).json()["champion"] == 1
    refused = await service.put(f"{model.path}/aliases/champion", json={"version": 2})
    assert "damaged" in is_problem(refused, 409)["detail"]
    model.weights(versions[1]).write_bytes(FILES["weights.safetensors"])
    assert (await service.post(f"{path}/verify")).json()["state"] == "READY"
    again = await service.put(f"{model.path}/aliases/champion", json={"version": 2})
    assert again.json()["champion"] == 2


# --- schedules, and the API's own description -------------------------------------------------------


@pytest_asyncio.fixture
async def scheduling(mongo_uri: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with service_in_process(
        mongo_uri,
        tmp_path,
        training_interval="24h",
        training_schedules={"MPC": "0 3 * * 0"},
        training_time_zone="Europe/Berlin",
        training_heartbeat_seconds=0.2,
    ) as client:
        yield client


async def test_schedules_are_listed(
    service: httpx.AsyncClient, scheduling: httpx.AsyncClient, mongo: Client
) -> None:
    assert (await service.get("/training/schedules")).json()["items"] == []
    executions = ExecutionRepository(mongo, scheduling.database)  # type: ignore[attr-defined]
    for algorithm_name in ("KMeans", "MPC"):
        await store_history(executions, algorithm_name)
    items: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while len(items) < 2:
            await asyncio.sleep(0.1)
            items = (await scheduling.get("/training/schedules")).json()["items"]
    by_algorithm = {item["algorithm_name"]: item for item in items}
    assert by_algorithm["KMeans"]["trigger"] == "every 24h"
    assert by_algorithm["MPC"]["trigger"] == "cron 0 3 * * 0 (Europe/Berlin)"
    assert [item["next_fire_at"] for item in items] == sorted(item["next_fire_at"] for item in items)
    assert by_algorithm["MPC"]["id"] == "spark/MPC/cron 0 3 * * 0 (Europe/Berlin)"
    assert by_algorithm["MPC"]["fired"] == 0


def test_the_api_describes_models_and_schedules_without_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = create_app(Settings()).openapi()
    paths = {path: set(methods) for path, methods in document["paths"].items()}
    assert paths["/models"] == paths["/models/{name}"] == paths["/models/{name}/versions"] == {"get"}
    assert paths["/models/{name}/versions/{version}"] == {"get", "delete"}
    assert paths["/models/{name}/versions/{version}/verify"] == {"post"}
    assert paths["/models/{name}/aliases/{alias}"] == {"put", "delete"}
    assert paths["/training/schedules"] == {"get"}
    schemas = document["components"]["schemas"]
    assert {"champion", "cached_here", "alias_changes"} <= set(schemas["ModelView"]["properties"])
    assert "id" in schemas["VersionView"]["properties"]
    assert "_id" not in schemas["VersionView"]["properties"]
