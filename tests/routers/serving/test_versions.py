"""Which version answers whoever names one, when a model is ready, and what stays of one that was ended."""

import asyncio
import json
from pathlib import Path
from typing import Any

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


@pytest.fixture
def model(service: httpx.AsyncClient) -> TeamsModel:
    return TeamsModel(service)


async def test_a_version_that_answers_nobody_else_is_asked_by_its_number(model: TeamsModel) -> None:
    for number in (1, 2, 3):
        await model.publish(tells(number))
    await model.serve(version=1)
    address = f"/serving/{model.short_name}/predict"
    assert (await model.ask(x=1)).json()["label"] == "1"

    refused = await model.client.post(address, json={"inputs": {"x": 1}, "version": 2})
    assert refused.status_code == 409
    assert (
        f'PUT /serving/{model.name} with "canary": {{"version": 2, "share": 0}}' in refused.json()["detail"]
    )
    unknown = await model.client.post(address, json={"inputs": {"x": 1}, "version": 9})
    assert (unknown.status_code, "no version 9" in unknown.json()["detail"]) == (404, True)

    await model.serve(version=1, canary={"version": 2, "share": 0})
    named = await model.client.post(address, json={"inputs": {"x": 1}, "version": 2})  # while it is loaded
    assert (named.status_code, named.json()["label"], named.json()["role"]) == (200, "2", "canary")
    assert {(await model.ask(x=1)).json()["label"] for _ in range(20)} == {"1"}

    await model.publish({"predict.py": "raise OSError('no weights')"})
    await model.serve(version=1, canary={"version": 4, "share": 0})
    failed = await model.client.post(address, json={"inputs": {"x": 1}, "version": 4})
    assert "no weights" in failed.json()["detail"]


async def test_a_question_whose_time_is_over_before_the_model_is_loaded_is_504(model: TeamsModel) -> None:
    await model.publish({"predict.py": "import time\ntime.sleep(1000)\n"})
    await model.serve(time_limit_seconds=0.01, load_limit_seconds=3)
    late = await model.ask(x=1)
    assert (late.status_code, late.json()["title"]) == (504, "No answer in time")
    assert "is still being loaded" in late.json()["detail"]
    assert int(late.headers["Retry-After"]) > 0


async def test_a_canary_that_keeps_ending_rests_while_the_version_before_answers(model: TeamsModel) -> None:
    await model.publish(tells(1))
    await model.publish({"predict.py": "import os\ndef predict(inputs):\n    os._exit(3)\n"})
    await model.serve(version=1, canary={"version": 2, "share": 1})
    statuses = [(await model.ask(x=0)).status_code]
    while len([status for status in statuses if status != 200]) < 5:  # another row each time: none is known
        statuses.append((await model.ask(x=len(statuses))).status_code)
    assert {*statuses} <= {200, 502}
    answer = (await model.ask(x="after")).json()
    assert (answer["label"], answer["role"]) == ("1", "primary")


async def test_an_alias_that_no_version_has_is_noted_until_one_does(model: TeamsModel) -> None:
    await model.publish(tells(1))
    await model.publish(tells(2))
    await model.serve(version=1, canary={"version": "next", "share": 1})
    answer = (await model.ask(x=1)).json()
    assert (answer["label"], answer["notes"]) == ("1", ["no version is next, which is to answer as canary"])
    named = await model.client.put(f"/models/{model.name}/aliases/next", json={"version": 2})
    assert named.status_code == 200, named.text
    while (answer := (await model.ask(x=1)).json())["label"] != "2":
        pass
    assert (answer["role"], answer["notes"]) == ("canary", [])


# --- whether it is ready, as clients of the Open Inference Protocol ask: by the status alone ---------


async def readiness(model: TeamsModel, status: int) -> bool:
    response = await model.client.get(f"/v2/models/{model.short_name}/ready")
    assert (response.status_code, response.json()["name"]) == (status, model.name)
    return bool(response.json()["ready"])


async def name_alias(model: TeamsModel, alias: str, version: int | None) -> None:
    address, body = f"/models/{model.name}/aliases/{alias}", {"version": version}
    method, content = ("DELETE", None) if version is None else ("PUT", body)
    (await model.client.request(method, address, json=content)).raise_for_status()


async def test_a_model_is_ready_where_what_its_options_name_is_there(service: httpx.AsyncClient) -> None:
    model = TeamsModel(service)
    await model.publish(tells(1))
    await model.publish(tells(2))
    assert await readiness(model, 200)
    options: list[Any] = [2, "staging", "champion"]
    for version, status in zip(options, (200, 409, 200), strict=True):
        await model.serve(version=version)
        assert await readiness(model, status) is (status == 200)
    await name_alias(model, "staging", 2)
    await name_alias(model, "champion", None)
    for version, status in zip(options, (200, 200, 409), strict=True):
        await model.serve(version=version)
        assert await readiness(model, status) is (status == 200)
    await model.serve(version=1)
    (await service.delete(f"/models/{model.name}/versions/1")).raise_for_status()
    assert not await readiness(model, 409)


async def test_a_service_that_serves_nothing_is_not_ready(mongo_uri: str, tmp_path: Path) -> None:
    def turn_off(settings: Settings) -> None:
        settings.serving.serving = False

    async with service_in_process(mongo_uri, tmp_path, configure=turn_off) as client:
        off = await client.get("/v2/health/ready")
        assert (off.status_code, off.json()) == (409, {"ready": False})
        assert (await client.get("/v2/health/live")).status_code == 200
    async with service_in_process(mongo_uri, tmp_path / "on") as client:
        on = await client.get("/v2/health/ready")
        assert (on.status_code, on.json()) == (200, {"ready": True})


# --- its end, and how many are in memory -------------------------------------------------------------


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


@pytest.mark.long  # it starts a Ray of its own
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
