"""Files of questions, answered on the real local Spark by the version that serves."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from app.client.client import AsyncClient
from tests.support.services import on_mongodb, started_service
from tests.support.teams_models import TeamsModel, bright_files

pytestmark = [pytest.mark.service, pytest.mark.spark, pytest.mark.timeout(600)]

DIES_OF_13 = """
import os

def predict_batch(inputs):
    if any(each["x"] == 13 for each in inputs):
        os._exit(3)
    return [{"label": str(each["x"] % 2), "probability": 1.0} for each in inputs]
"""
SIGNATURE = {
    "inputs": {"x": {"type": "integer"}},
    "output": {"label": "label", "confidence": "probability"},
}


@pytest_asyncio.fixture(scope="module")
async def url(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    environment = {"LOCAL_SPARK_MAX_APPLICATIONS": "2", **on_mongodb(mongo_uri)}
    async with started_service(tmp_path_factory.mktemp("bulk"), **environment) as service:
        yield service.url


@pytest_asyncio.fixture(scope="module")
async def client(url: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(url) as client:
        yield client


@pytest_asyncio.fixture(scope="module")
async def begun(client: AsyncClient, url: str) -> dict[str, Any]:
    """Both runs are begun before either is waited for: each is mostly starting."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        dies, images = TeamsModel(http), TeamsModel(http)
        await dies.publish({"predict.py": DIES_OF_13, "signature.json": json.dumps(SIGNATURE)})
        await images.publish(bright_files())
    lines = [json.dumps({"x": number}) for number in range(40)] + ["no json", '{"x": "four"}']
    await client.put_file(dies.workspace, "questions.jsonl", "\n".join(lines).encode())
    for name, shade in (("a.png", 250), ("b.png", 3)):
        content = io.BytesIO()
        Image.new("L", (16, 16), shade).save(content, "PNG")
        await client.put_file(images.workspace, f"images/{name}", content.getvalue())
    await client.put_file(images.workspace, "images/c.png", b"no image")
    return {
        "lines": await client.answer_file(
            dies.short_name, dies.workspace, "questions.jsonl", batch_rows=8, max_executors=2
        ),
        "images": await client.answer_file(images.short_name, images.workspace, "images"),
    }


async def answers(client: AsyncClient, started: Any) -> list[dict[str, Any]]:
    """Its lines, once it has ended well."""
    async with asyncio.timeout(300):
        run: Any = started
        while run["state"] not in ("COMPLETED", "FAILED", "KILLED"):
            await asyncio.sleep(0.5)
            run = await client.program_run(started["id"])
    assert run["state"] == "COMPLETED", (run["state_reason"], run["end_reason"])
    content = await client.program_output(run["id"], "answers.jsonl")
    return [json.loads(line) for line in content.decode().splitlines()]


async def test_each_line_has_its_answer_or_its_error(client: AsyncClient, begun: dict[str, Any]) -> None:
    found = await answers(client, begun["lines"])
    assert [each["row"] for each in found] == list(range(42))
    assert [each.get("label") for each in found[:13]] == [str(number % 2) for number in range(13)]
    assert "exit code 3" in found[13]["error"]
    assert found[14]["label"] == "0", "who was in the same batch is answered"
    assert "no JSON" in found[40]["error"]
    assert "x must be" in found[41]["error"]


async def test_images_of_a_folder_are_answered(client: AsyncClient, begun: dict[str, Any]) -> None:
    found = await answers(client, begun["images"])
    assert [each.get("label") for each in found] == ["bright", "dark", None]
    assert "image" in found[2]["error"]
