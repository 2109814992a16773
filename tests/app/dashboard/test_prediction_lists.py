"""What lists of the pages with predictions show of what others have, what is damaged and what is not kept."""

import json
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pytest
import pytest_asyncio

from common.auth import Role
from common.models.registry import ModelRegistry
from common.models.versions import ProgramOrigin, VersionState
from common.mongo.types import Client
from prediction.inference.records.documents import PredictionRecord
from tests.support.registered import allowed, new_version
from tests.support.samples import unique_name
from tests.support.teams_models import TeamsModel, tells
from tests.support.tokens import Guarded, guarded_service

pytestmark = pytest.mark.service


@pytest_asyncio.fixture(scope="module")
async def guarded(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guarded]:
    async with guarded_service(mongo_uri, mongo, tmp_path_factory.mktemp("guarded")) as service:
        yield service


@pytest.fixture
def registered(service: httpx.AsyncClient, mongo: Client) -> ModelRegistry:
    return ModelRegistry(mongo, service.database)  # type: ignore[attr-defined]


async def register(registry: ModelRegistry, algorithm_name: str, workspace: str) -> None:
    origin = ProgramOrigin(workspace=workspace, folder=".", file="train.py", snapshot_id="0" * 64)
    await registry.register(
        new_version(kind="program", algorithm_name=algorithm_name, program=origin), allowed
    )


async def test_a_page_is_filled_with_models_that_one_may_ask(guarded: Guarded, mongo: Client) -> None:
    bob = await guarded.of(await guarded.new(unique_name("bob"), Role.SUBMITTER))
    own = unique_name("own").replace("_", "-")
    await bob.put(f"/workspaces/{own}", json={})
    database: str = guarded.client.database  # type: ignore[attr-defined]
    registry = ModelRegistry(mongo, database)
    for number in range(26):
        await register(registry, f"a-{number:02}", "somebody-elses")
    for number in range(26):
        await register(registry, f"b-{number:02}", own)
    for name in ("a-unreadable", "b-unreadable"):
        await register(registry, name, own if name.startswith("b") else "somebody-elses")
        model = {"_id": f"spark.{name}.program"}
        await mongo[database]["model"].update_one(model, {"$set": {"latest_version": "many"}})
    first = (await bob.get("/ui/prediction")).text
    assert [f"b-{number:02}" in first for number in range(26)] == [True] * 25 + [False]
    assert "spark.a-" not in first
    assert 'href="/ui/prediction?cursor=spark.b-24.program" rel="next"' in first
    second = (await bob.get("/ui/prediction?cursor=spark.b-24.program")).text
    assert ("b-25" in second, "spark.b-unreadable.program" in second, 'rel="next"' in second) == (
        True,
        True,
        False,
    )


async def test_only_versions_that_can_serve_are_promoted(
    service: httpx.AsyncClient, registered: ModelRegistry
) -> None:
    model = TeamsModel(service)
    for version in (1, 2, 3):
        await model.publish(tells(version))
    await registered.set_state(model.name, 1, VersionState.DAMAGED, "for a test")
    page = (await service.get(f"/ui/prediction/{model.name}")).text
    assert ("/versions/2/promote" in page, "/versions/1/promote" in page) == (True, False)
    row = page.partition('id="version-1"')[2].partition("</tr>")[0]
    assert '<span class="state damaged">Damaged</span>' in row
    await model.serve()
    states = {each["version"]: each["state"] for each in (await model.details())["versions"]}
    assert states == {1: "DAMAGED", 2: "READY", 3: "READY"}


async def test_earlier_versions_are_shown_as_long_as_they_are_named(
    service: httpx.AsyncClient, registered: ModelRegistry
) -> None:
    model = TeamsModel(service)
    await model.publish({**tells(1), "metrics.json": json.dumps({"accuracy": 0.75})})
    for _ in range(20):
        await register(registered, model.short_name, model.workspace)
    await model.serve()
    versions = (await model.details())["versions"]
    assert [each["version"] for each in versions] == list(range(21, 0, -1))
    assert versions[-1]["trained_with"] == {"accuracy": 0.75}


async def test_a_programs_model_is_shown_with_its_program(service: httpx.AsyncClient) -> None:
    model = TeamsModel(service)
    await model.publish(tells(1))
    page = (await service.get(f"/ui/models/{model.name}")).text
    assert f'href="/ui/training?workspace={model.workspace}"' in page
    assert "Train a new version" not in page
    for text in (page, (await service.get("/ui/models")).text):
        assert "0 runs" not in text
        assert f"of {model.workspace}</span>" in text


async def test_what_was_asked_and_answered_is_shown_as_json(
    service: httpx.AsyncClient, mongo: Client
) -> None:
    model = TeamsModel(service)
    await model.publish(tells(1))
    asked: dict[str, Any] = {"hat": True, "name": None, "box": {"a": 1.0}, "word": "None <b>"}
    records = [
        PredictionRecord(
            id=unique_name("p"),
            model=model.name,
            version=1,
            inputs_json=json.dumps(asked),
            answer_json=answer,
        )
        for answer in (json.dumps({"sum": [1, True]}), None)
    ]
    await mongo[service.database]["prediction"].insert_many(  # type: ignore[attr-defined]
        [each.to_mongo() for each in records]
    )
    page = unescape((await service.get(f"/ui/prediction/{model.name}")).text)
    rows = [page.partition(f'id="prediction-{each.id}"')[2].partition("</tr>")[0] for each in records]
    for row in rows:
        for value in ("</span> true", "</span> null", '</span> {"a": 1.0}', "</span> None <b>"):
            assert value in row, value
    assert '<td class="answered">{"sum": [1, true]}</td>' in rows[0]
    assert '<td class="answered"><span class="none">–</span></td>' in rows[1]


async def test_an_example_that_is_too_long_is_not_cut(service: httpx.AsyncClient) -> None:
    model = TeamsModel(service)
    signature = {"inputs": {"vector": {"type": "array", "items": "number", "shape": [4000]}}}
    await model.publish({**tells(1), "signature.json": json.dumps(signature)})
    page = (await service.get(f"/ui/prediction/{model.name}")).text
    assert "-d @question.json</code>" in page
    assert '{"inputs":' not in page
