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
from tests.support.services import started_service
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
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with started_service(tmp_path_factory.mktemp("bulk")) as service:
        yield service.url


@pytest_asyncio.fixture(scope="module")
async def client(url: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(url) as client:
        yield client


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


async def test_each_line_has_its_answer_or_its_error(client: AsyncClient, url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        model = TeamsModel(http)
        await model.publish({"predict.py": DIES_OF_13, "signature.json": json.dumps(SIGNATURE)})
    lines = [json.dumps({"x": number}) for number in range(40)] + ["no json", '{"x": "four"}']
    await client.put_file(model.workspace, "questions.jsonl", "\n".join(lines).encode())
    started = await client.answer_file(
        model.short_name, model.workspace, "questions.jsonl", batch_rows=8, max_executors=2
    )
    found = await answers(client, started)
    assert [each["row"] for each in found] == list(range(42))
    assert [each.get("label") for each in found[:13]] == [str(number % 2) for number in range(13)]
    assert "exit code 3" in found[13]["error"]
    assert found[14]["label"] == "0", "who was in the same batch is answered"
    assert "no JSON" in found[40]["error"]
    assert "x must be" in found[41]["error"]


async def test_images_of_a_folder_are_answered(client: AsyncClient, url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        model = TeamsModel(http)
        await model.publish(bright_files())
    for name, shade in (("a.png", 250), ("b.png", 3)):
        content = io.BytesIO()
        Image.new("L", (16, 16), shade).save(content, "PNG")
        await client.put_file(model.workspace, f"images/{name}", content.getvalue())
    await client.put_file(model.workspace, "images/c.png", b"no image")
    found = await answers(client, await client.answer_file(model.short_name, model.workspace, "images"))
    assert [each.get("label") for each in found] == ["bright", "dark", None]
    assert "image" in found[2]["error"]
