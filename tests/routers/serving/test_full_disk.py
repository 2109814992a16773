"""A full disk below SERVING_CACHE_DIR: what serves goes on, what is new says why not, and comes with room."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from common.settings.settings import Settings
from tests.support.disks import small_disk
from tests.support.services import service_in_process
from tests.support.teams_models import TeamsModel, tells

pytestmark = pytest.mark.service


async def test_the_version_before_answers_until_there_is_room_for_the_new_one(
    mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prediction.inference.served.model_server._RETRY_SECONDS", 1.0)
    with small_disk(tmp_path / "disk") as disk:

        def configure(settings: Settings) -> None:
            settings.serving.serving_cache_dir = disk.folder / "cache"

        async with service_in_process(mongo_uri, tmp_path / "data", configure=configure) as client:
            model, other = TeamsModel(client), TeamsModel(client)
            await model.publish(tells(1))
            assert (await model.ask(x=1)).json()["label"] == "1"
            disk.fill()
            await model.publish(tells(2))
            champion = f"/models/{model.name}/aliases/champion"
            (await client.put(champion, json={"version": 2})).raise_for_status()
            answer = await _until(model, lambda answer: "No space left" in f"{answer.json()['notes']}")
            assert (answer.status_code, answer.json()["label"]) == (200, "1")
            said = {"prediction_id": answer.json()["prediction_id"], "verdict": "right"}
            noted = await client.post(f"/serving/{model.short_name}/feedback", json=said)
            assert noted.status_code == 200, noted.text

            await other.publish(tells(7))
            refused = await other.ask(x=1)
            assert (refused.status_code, refused.json()["title"]) == (503, "The model is not ready")
            assert "No space left on device (SERVING_CACHE_DIR)" in refused.json()["detail"]
            assert refused.headers["retry-after"]

            disk.make_room()
            await _until(model, lambda answer: answer.json()["label"] == "2")
            await _until(other, lambda answer: answer.status_code == 200)


async def _until(model: TeamsModel, is_so: Callable[[httpx.Response], bool]) -> httpx.Response:
    async with asyncio.timeout(120):
        while not is_so(answer := await model.ask(x=1)):
            await asyncio.sleep(0.1)
    return answer
