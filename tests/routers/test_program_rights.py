"""Whose programs run on what, and who sees what they say and leave."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from common.auth import Role
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import ProgramOrigin
from common.mongo.types import Client
from common.settings.programs import ProgramSettings
from common.settings.settings import Settings
from submission.programs.outputs import OutputDescription, Outputs
from submission.programs.repository import ProgramRunRepository
from tests.support.registered import publish
from tests.support.tokens import Guarded, guarded_service

PEOPLE = {"ada": Role.SUBMITTER, "bob": Role.SUBMITTER, "eve": Role.SUBMITTER, "op": Role.OPERATOR}


def with_programs(settings: Settings) -> None:
    settings.programs.local_programs = True


@pytest_asyncio.fixture(scope="module")
async def guarded(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guarded]:
    folder = tmp_path_factory.mktemp("rights")
    async with guarded_service(mongo_uri, mongo, folder, with_programs) as service:
        yield service


@pytest_asyncio.fixture(scope="module")
async def people(guarded: Guarded) -> dict[str, httpx.AsyncClient]:
    return {name: await guarded.of(await guarded.new(name, role)) for name, role in PEOPLE.items()}


async def started(client: httpx.AsyncClient, workspace: str, **body: Any) -> str:
    """Id of a run, which is ended at once."""
    answer = await client.post(f"/training/programs/{workspace}/runs", json=body)
    assert answer.status_code == 201, answer.text
    run_id = str(answer.json()["id"])
    await client.post(f"/training/program_runs/{run_id}/cancel")
    return run_id


async def made(client: httpx.AsyncClient, name: str, **members: list[str]) -> None:
    assert (await client.put(f"/workspaces/{name}", json=members)).is_success
    for path in ("train.py", "pipeline.yaml"):
        content = b"" if path.endswith(".py") else b"steps: {training: {file: train.py}}"
        assert (await client.put(f"/workspaces/{name}/files/{path}", content=content)).is_success


async def test_only_who_may_run_starts_and_only_who_may_read_looks(
    people: dict[str, httpx.AsyncClient],
) -> None:
    ada, bob, eve = people["ada"], people["bob"], people["eve"]
    await made(ada, "secret", runners=["bob"], readers=[])
    for refused in (
        await eve.post("/training/programs/secret/runs", json={}),
        await eve.post("/training/programs/secret/pipelines", json={}),
        await eve.post("/train/secret", json={}),
        await eve.get("/training/programs/secret/runs"),
        await eve.get("/training/programs/secret/pipelines"),
        await eve.get("/logs/secret"),
    ):
        assert refused.status_code == 403, refused.request.url
    run_id = await started(bob, "secret")
    pipeline = (await bob.post("/training/programs/secret/pipelines", json={})).json()
    await bob.post(f"/training/pipelines/{pipeline['id']}/cancel")
    addresses = (
        f"/training/program_runs/{run_id}",
        f"/training/program_runs/{run_id}/result",
        f"/training/program_runs/{run_id}/output/a",
        f"/submission/applications/{run_id}/logs",
        f"/logs/secret?run_id={run_id}",
        f"/training/pipelines/{pipeline['id']}",
        f"/training/pipelines/{pipeline['id']}/result",
    )
    for address in addresses:
        assert (await eve.get(address)).status_code == 403, address
        assert (await bob.get(address)).status_code in (200, 404), address

    # Who takes the name afterwards has taken no more than that.
    assert (await ada.delete("/workspaces/secret")).is_success
    await made(eve, "secret")
    for address in addresses:
        assert (await eve.get(address)).status_code == 403, address
        assert (await bob.get(address)).status_code in (200, 404), address
        assert (await people["op"].get(address)).status_code in (200, 404), address


async def test_a_snapshot_is_of_the_workspace_that_it_was_taken_of(
    people: dict[str, httpx.AsyncClient],
) -> None:
    ada, eve = people["ada"], people["eve"]
    await made(ada, "former")
    run = (await ada.post("/training/programs/former/runs", json={})).json()
    await ada.delete("/workspaces/former")
    await made(eve, "former")
    refused = await eve.post("/training/programs/former/runs", json={"snapshot_id": run["snapshot_id"]})
    assert (refused.status_code, "had this name before" in refused.text) == (422, True)
    again = (await eve.post("/training/programs/former/runs", json={})).json()
    assert again["snapshot_id"] != run["snapshot_id"]
    await asyncio.gather(
        ada.post(f"/training/program_runs/{run['id']}/cancel"),
        eve.post(f"/training/program_runs/{again['id']}/cancel"),
    )


async def test_inputs_are_those_that_one_may_read(
    people: dict[str, httpx.AsyncClient], guarded: Guarded, mongo: Client
) -> None:
    ada, eve = people["ada"], people["eve"]
    await made(ada, "private", readers=[])
    await made(eve, "own")
    run_id = await started(ada, "private")
    database: str = guarded.client.database  # type: ignore[attr-defined]
    folder = guarded.client.data_dir / "models"  # type: ignore[attr-defined]
    runs = ProgramRunRepository(mongo, database)
    run = await runs.start(run_id, "private", None)
    outputs = Outputs(runs, FolderStore(folder), ProgramSettings())
    await outputs.describe(run, OutputDescription(attempt=1, files=[]))
    await outputs.complete(await runs.of_attempt(run_id, 1), unpublished=False)
    body = {"inputs": {"theirs": run_id}}
    refused = await eve.post("/training/programs/own/runs", json=body)
    assert (refused.status_code, "program.inputs.theirs" in refused.text) == (403, True)
    submission = {"global_specs": specs_of("own"), "program": {"workspace": "own", **body}}
    assert (await eve.post("/submission/submit", json=submission)).status_code == 403
    assert (await ada.post("/training/programs/private/runs", json=body)).status_code == 201


def specs_of(algorithm: str) -> dict[str, Any]:
    return {
        "experiment_name": "rights",
        "algorithm_name": algorithm,
        "data_size_MB": 1,
        "min_scale_out": 1,
        "max_scale_out": 1,
        "max_runtime": 60,
    }


async def test_a_model_belongs_to_the_workspace_whose_programs_make_its_versions(
    people: dict[str, httpx.AsyncClient], guarded: Guarded, mongo: Client
) -> None:
    ada, bob, eve = people["ada"], people["bob"], people["eve"]
    await made(ada, "makers", runners=["bob"])
    await made(eve, "others")
    await made(bob, "bobs")
    database: str = guarded.client.database  # type: ignore[attr-defined]
    folder = guarded.client.data_dir / "models"  # type: ignore[attr-defined]
    origin = ProgramOrigin(
        application_execution_id="x", workspace="makers", folder=".", file="train.py", snapshot_id="0"
    )
    store = FolderStore(folder)
    await publish(
        ModelRegistry(mongo, database), store, algorithm_name="Digits", kind="program", program=origin
    )
    refused = await eve.post("/training/programs/others/runs", json={"model": "Digits"})
    assert (refused.status_code, "makes versions of 'spark.Digits.program'" in refused.text) == (403, True), (
        refused.text
    )
    await started(bob, "bobs", model="Digits")
    await started(ada, "makers", model="Digits")


async def test_a_schedule_runs_the_workspace_that_it_was_made_for(
    people: dict[str, httpx.AsyncClient], guarded: Guarded
) -> None:
    ada, eve = people["ada"], people["eve"]
    await made(ada, "planned", readers=[], runners=["eve"])
    body = {
        "name": "planned",
        "cron": "@yearly",
        "submission": {"global_specs": specs_of("planned"), "program": {"workspace": "planned"}},
    }
    assert (await eve.post("/submission/schedules", json=body)).status_code == 201
    await ada.delete("/workspaces/planned")
    await made(ada, "planned", readers=[])
    refused = await eve.post("/submission/schedules/planned/run")
    assert (refused.status_code, "another one than when this was made" in refused.text) == (422, True)
    for change in ("pause", "resume", "pause"):
        assert (await eve.post(f"/submission/schedules/planned/{change}")).is_success
    refused = await eve.post("/submission/schedules/planned/run")
    assert (refused.status_code, "another one than when this was made" in refused.text) == (422, True)
