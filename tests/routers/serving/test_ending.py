"""A model that was ended stays ended, whoever asks; how many are in memory, and what an end waits for."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from common.settings.settings import Settings
from tests.support.left_processes import has_ended
from tests.support.scraping import Scraped
from tests.support.services import service_in_process
from tests.support.teams_models import TeamsModel, linear_onnx, tells

pytestmark = pytest.mark.service

SLOW = """
import os
import pathlib
import time

def load(folder):
    pathlib.Path({told!r}).write_text(str(os.getpid()))
    while not pathlib.Path({go!r}).exists():
        time.sleep(0.05)

def predict(inputs):
    return {{"label": "slow"}}
"""


async def test_an_ended_model_stays_ended_until_somebody_serves_it_again(
    service: httpx.AsyncClient, mongo_uri: str, tmp_path: Path
) -> None:
    model = TeamsModel(service)
    await model.publish(tells(1))
    await model.serve(keep_inputs=False, max_batch_rows=7)
    assert (await model.ask(x=1)).json()["label"] == "1"

    ended = await service.delete(f"/serving/{model.short_name}", headers={"X-Requested-By": "ada"})
    assert ended.json() == {"model": model.name, "state": "NOT_SERVED"}
    await model.publish(tells(2))
    database = service.database  # type: ignore[attr-defined]

    def same_database(settings: Settings) -> None:
        settings.mongo.mongodb_database = database

    async with service_in_process(mongo_uri, tmp_path / "other", configure=same_database) as other:
        for client in (service, other):
            for path, body in (
                (f"/serving/{model.short_name}/predict", {"inputs": {"x": 1}}),
                (f"/predict/{model.workspace}", {"x": 1}),
            ):
                refused = await client.post(path, json=body)
                assert refused.status_code == 409, refused.text
                detail = refused.json()["detail"]
                assert f"{model.name} was ended by ada at 20" in detail
                assert f"PUT /serving/{model.name}" in detail
            shown = await client.get(f"/serving/{model.name}")
            assert (shown.status_code, "was ended by ada" in shown.json()["detail"]) == (404, True)
            listed = (await client.get("/serving")).json()["items"]
            assert model.name not in [each["model"] for each in listed]
    assert (await service.delete(f"/serving/{model.short_name}")).status_code == 404

    clash = await service.put(f"/serving/{model.short_name}", json={"canary": {"version": 9, "share": 0.5}})
    assert clash.status_code == 422
    again = await model.serve(max_batch_rows=8)
    assert (again["options"]["keep_inputs"], again["options"]["max_batch_rows"]) == (False, 8)
    assert (await model.ask(x=1)).json()["label"] == "2"
    assert (await model.serve())["options"]["keep_inputs"] is True, "one that is served gets defaults"


async def test_an_end_waits_for_no_load(service: httpx.AsyncClient, tmp_path: Path) -> None:
    model = TeamsModel(service)
    await model.publish({"predict.py": SLOW.format(told=str(tmp_path / "pid"), go=str(tmp_path / "go"))})
    asking = asyncio.create_task(model.ask())
    pid = await _told(tmp_path / "pid")
    ended = await service.delete(f"/serving/{model.short_name}")
    assert ended.status_code == 200
    assert not has_ended(pid), "the rest ends meanwhile"
    assert (await asking).status_code == 503
    while not has_ended(pid):
        await asyncio.sleep(0.05)
    assert (await model.ask()).status_code == 409


async def test_what_is_loaded_right_now_counts_and_is_no_failure_of_others(
    mongo_uri: str, tmp_path: Path
) -> None:
    def one_at_once(settings: Settings) -> None:
        settings.serving.serving_max_models = 1

    async with service_in_process(mongo_uri, tmp_path / "data", configure=one_at_once) as client:
        slow, quick, third = TeamsModel(client), TeamsModel(client), TeamsModel(client)
        await slow.publish({"predict.py": SLOW.format(told=str(tmp_path / "pid"), go=str(tmp_path / "go"))})
        await quick.publish(tells(1))
        await third.publish(tells(3))
        asking = asyncio.create_task(slow.ask())
        await _told(tmp_path / "pid")
        refused = await quick.ask(x=1)
        assert (refused.status_code, refused.json()["title"]) == (503, "Too many models are in memory")
        (tmp_path / "go").touch()
        assert (await asking).json()["label"] == "slow"
        assert (await quick.ask(x=1)).json()["label"] == "1", "it was no failure of the version"
        assert (await slow.details())["state"] == "ASLEEP"

        await client.delete(f"/serving/{quick.short_name}")
        assert (await third.ask(x=1)).json()["label"] == "3", "it waits for the one that ends"


async def test_labels_that_do_not_fit_are_refused_when_it_is_loaded(service: httpx.AsyncClient) -> None:
    model = TeamsModel(service)
    signature = {
        "inputs": {"features": {"type": "array", "shape": [2]}},
        "output": {"scores": "scores", "labels": ["no", "yes"]},
    }
    onnx = linear_onnx([[1, 0, 0], [0, 1, 0]], [0, 0, 0])
    await model.publish({"model.onnx": onnx, "signature.json": json.dumps(signature)})
    refused = await model.ask(features=[1, 2])
    assert refused.status_code == 409
    assert "2 labels for 3 scores" in refused.json()["detail"]


async def test_verdicts_about_folders_are_counted(service: httpx.AsyncClient) -> None:
    counted = await Scraped.of(service)
    model = TeamsModel(service)
    gate = {"metric": "accuracy", "better": "higher"}
    for accuracy in (0.9, 0.8):
        await model.publish({**tells(1), "metrics.json": json.dumps({"accuracy": accuracy})}, gate)
    assert await counted.moved("enel_model_promotions_total") == {
        'enel_model_promotions_total{outcome="promoted"}': 1,
        'enel_model_promotions_total{outcome="kept_back"}': 1,
    }


async def _told(path: Path) -> int:
    while not (path.is_file() and path.read_text()):
        await asyncio.sleep(0.05)
    return int(path.read_text())
