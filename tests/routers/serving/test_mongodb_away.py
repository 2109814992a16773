"""What is loaded answers while MongoDB is away, and says that nothing is remembered."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from common.mongo.embedded import embedded_mongod
from common.settings.settings import Settings
from tests.support.left_processes import mongod_of
from tests.support.services import service_in_process
from tests.support.teams_models import TeamsModel, tells

pytestmark = pytest.mark.service


def _impatient(settings: Settings) -> None:
    settings.mongo.mongodb_timeout_seconds = 2.0


def _patient(settings: Settings) -> None:
    settings.mongo.mongodb_timeout_seconds = 120.0


@pytest_asyncio.fixture
async def mongod(tmp_path: Path) -> AsyncIterator[tuple[str, psutil.Process]]:
    folder = tmp_path / "mongod"
    async with embedded_mongod(folder) as uri:
        process = mongod_of(folder)
        yield uri, process


async def test_questions_are_answered(mongod: tuple[str, psutil.Process], tmp_path: Path) -> None:
    uri, process = mongod
    async with service_in_process(uri, tmp_path / "data", configure=_impatient) as client:
        model = TeamsModel(client)
        await model.publish(tells(1))
        assert (await model.ask(x=1)).json()["prediction_id"]
        process.send_signal(signal.SIGSTOP)
        try:
            answer = await _until(model, lambda answer: answer["prediction_id"] is None)
            assert answer["label"] == "1"
            assert any("remembered" in note for note in answer["notes"])
            answer = await _until(model, lambda answer: len(answer["notes"]) == 2)
            assert any("registry" in note for note in answer["notes"])
        finally:
            process.send_signal(signal.SIGCONT)
        answer = await _until(model, lambda answer: answer["prediction_id"] is not None)
        await _until(model, lambda answer: not answer["notes"])


async def test_which_model_is_asked_is_known_while_mongodb_stands_still(
    mongod: tuple[str, psutil.Process], tmp_path: Path
) -> None:
    """Each question would wait for as long as MongoDB may take, which is longer than the test."""
    uri, process = mongod
    async with service_in_process(uri, tmp_path / "data", configure=_patient) as client:
        model = TeamsModel(client)
        await model.publish(tells(1))
        await model.serve()
        addresses = ("/predict", f"/predict/{model.workspace}")
        for address in addresses:
            assert (await client.post(address, json={"x": 1})).json()["prediction_id"]
        process.send_signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(60):
                for _ in range(5):
                    for address in addresses:
                        answer = await client.post(address, json={"x": 1})
                        assert (answer.status_code, answer.json()["label"]) == (200, "1"), answer.text
        finally:
            process.send_signal(signal.SIGCONT)
        later = TeamsModel(client)
        later.workspace = model.workspace
        await later.publish(tells(2))
        assert (await client.post(addresses[1], json={"x": 1})).json()["model"] == later.name


async def _until(model: TeamsModel, condition: Any) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            response: httpx.Response = await model.ask(x=1)
            assert response.status_code == 200, response.text
            answer: dict[str, Any] = response.json()
            if condition(answer):
                return answer
            await asyncio.sleep(0.2)
