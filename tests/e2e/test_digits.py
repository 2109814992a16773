"""`POST /digits/train` on the real local Spark: the workspace, what stays in it, two versions compared."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.client.client import AsyncClient
from app.client.problems import ProblemError
from submission.pipelines.digits import PUT_FILE
from tests.support.digits import DIGITS
from tests.support.services import on_mongodb, started_service

pytestmark = [pytest.mark.service, pytest.mark.spark, pytest.mark.timeout(900)]


@pytest_asyncio.fixture(scope="module")
async def client(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AsyncClient]:
    async with (
        started_service(tmp_path_factory.mktemp("digits"), **on_mongodb(mongo_uri)) as service,
        AsyncClient(service.url) as client,
    ):
        yield client


async def ended(client: AsyncClient, run: Any) -> Any:
    """The training's run of a program, when its version is made."""
    while run["state"] == "RUNNING":
        await asyncio.sleep(0.5)
        run = await client.pipeline_run(run["id"])
    step = run["steps"][-1]
    assert step["state"] == "SUCCEEDED", run
    details: Any = await client.program_run(step["application_execution_id"])
    while not details["version"]:
        assert not details["publishing_detail"], details
        await asyncio.sleep(0.5)
        details = await client.program_run(details["id"])
    return details


@pytest_asyncio.fixture(scope="module")
async def first(client: AsyncClient) -> Any:
    """A version of the service's own example, trained."""
    return await ended(client, await client.train_digits("mnist.npz", epochs=3))


async def test_images_become_a_version_that_serves(client: AsyncClient, first: Any) -> None:
    result = await client.program_result(first["id"])
    assert result["accuracy"] > 0.6
    assert len(first["curve"]) >= 3
    assert first["version"] == 1
    assert (await client.model(first["model"]))["aliases"]["champion"]["version"] == 1


@pytest.mark.long  # that a worse version of any program stays behind is tested in test_programs.py
async def test_a_worse_version_is_kept_and_does_not_serve(client: AsyncClient, first: Any) -> None:
    worse = await ended(client, await client.train_digits(epochs=1, learning_rate=1e-5))
    assert (first["version"], worse["version"]) == (1, 2)
    [newest, oldest] = [each async for each in client.iterate_versions(first["model"])]
    assert oldest["promotion"]["promoted"] is True  # type: ignore[index]
    assert newest["promotion"]["promoted"] is False  # type: ignore[index]
    assert (await client.model(first["model"]))["aliases"]["champion"]["version"] == 1


async def test_files_that_somebody_has_changed_stay(client: AsyncClient) -> None:
    own, older = b"# mine\n", b"# of an earlier release\n"
    await client.put_file("digits", "model.py", own)
    stored = await client.put_file("digits", "slots.py", older)
    note = json.loads(await client.get_file("digits", PUT_FILE)) | {"slots.py": stored["sha256"]}
    await client.put_file("digits", PUT_FILE, json.dumps(note).encode())
    await client.delete_file("digits", "parent.py")
    run = await client.train_digits(idempotency_key="once", epochs=1)
    assert (await client.train_digits(idempotency_key="once", epochs=1))["id"] == run["id"]
    await client.cancel_pipeline_run(run["id"])
    assert await client.get_file("digits", "model.py") == own
    for name in ("slots.py", "parent.py"):
        assert await client.get_file("digits", name) == (DIGITS / name).read_bytes()


@pytest.mark.parametrize(
    ("images", "told"),
    [("other.npz", "there is no 'other.npz' in the workspace"), ("images.csv", "images_batch_path")],
)
async def test_images_that_are_not_there_are_refused(client: AsyncClient, images: str, told: str) -> None:
    with pytest.raises(ProblemError, match=told) as refused:
        await client.train_digits(images)
    assert refused.value.status in (400, 422)
