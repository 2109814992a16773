"""Questions and feedback that are broken, or mean two things, are refused in words that say what to mend."""

import json
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.images import file_of, grey
from tests.support.teams_models import TeamsModel, linear_onnx

pytestmark = pytest.mark.service

AGES = """
def predict(age, name=""):
    return {"label": "old" if age > 60 else "young", "name": name}
"""
SIGNATURE = {"inputs": {"age": "int", "name": {"type": "string", "default": ""}}}
JSON = "application/json"
CUT_OFF = b'--b\r\nContent-Disposition: form-data; name="age"\r\n\r\n4'
PNG = file_of(grey(), "PNG")


@pytest_asyncio.fixture(scope="module")
async def model(service: httpx.AsyncClient) -> TeamsModel:
    model = TeamsModel(service)
    await model.publish({"predict.py": AGES, "signature.json": json.dumps(SIGNATURE)})
    return model


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b'{"inputs": {"age": 1', JSON, "no JSON: Expecting"),
        (b"", JSON, "no JSON: Expecting value"),
        (b'{"inputs": {"age": 1, "name": "\xff"}}', JSON, "UTF-8, and byte 31 is not"),
        (b'{"inputs":' + b"[" * 100_000, JSON, "nested too deeply"),
        (b'{"inputs": {"age": ' + b"9" * 5000 + b"}}", JSON, "a number has too many digits"),
        (b'{"inputs": {"age": 1, "age": 2}}', JSON, "'age' comes twice"),
        (b'{"inputs": {"age": 1}, "inputs": {"age": 2}}', JSON, "'inputs' comes twice"),
        (b'[{"age": 1}]', JSON, "and no list"),
        (b'{"age": 1}', JSON, 'Send the values as {"inputs": {'),
        (b'{"inputs": null}', JSON, "inputs: a row is an object of keys and values, and no null"),
        (b'{"inputs": [{"age": 1}, [1]]}', JSON, "row 1 of inputs: a row is an object"),
        (b'{"inputs": {"age": NaN}}', JSON, "must be an integer, and is nan"),
        (b'{"inputs": {"age": 1}, "version": true}', JSON, "version: write a version's number, or an alias"),
        (b'{"inputs": {"age": 1}, "version": 0}', JSON, "version: write a version's number, or an alias"),
        (CUT_OFF, "multipart/form-data; boundary=b", "last boundary is missing"),
        (PNG, "application/x-www-form-urlencoded", "This is an image, sent as a form"),
        (PNG, "image/png", "the file is not an input of this version"),
    ],
)
async def test_what_is_no_question_is_told_so(model: TeamsModel, body: bytes, kind: str, words: str) -> None:
    address = f"/serving/{model.short_name}/predict"
    refused = await model.client.post(address, content=body, headers={"content-type": kind})
    assert refused.status_code == 422, refused.text
    assert words in refused.json()["detail"]


@pytest.mark.parametrize("version", ["²", "1.5", "a b"])
async def test_a_version_in_the_address_that_is_none_is_refused(model: TeamsModel, version: str) -> None:
    address = f"/serving/{model.short_name}/predict"
    refused = await model.client.post(address, params={"version": version}, json={"inputs": {"age": 1}})
    assert (refused.status_code, "nor an alias" in refused.json()["detail"]) == (422, True)


async def test_what_nobody_reads_is_noted(model: TeamsModel) -> None:
    address = f"/serving/{model.short_name}/predict"
    answer = await model.client.post(address, json={"inputs": {"age": 1}, "versoin": 7})
    assert answer.json()["notes"] == [
        "nobody reads 'versoin': a question has inputs and, where wanted, version"
    ]
    bare = await model.client.post(f"/predict/{model.workspace}", json={"age": 1})
    assert bare.json()["notes"] == []


async def test_a_mean_knows_nothing_of_the_time_to_load(service: httpx.AsyncClient) -> None:
    model = TeamsModel(service)
    await model.publish({"predict.py": "import time\ntime.sleep(2)\n" + AGES})
    timing = (await model.ask(age=1)).json()["timing_milliseconds"]
    assert timing["total"] > timing["loading"] > 2000
    while not (live := (await model.details())["versions"][0]["live"]):
        pass
    assert live[0]["mean_milliseconds"] < 2000
    assert (await model.ask(age=1)).json()["timing_milliseconds"]["loading"] < 2000


async def _judged(model: TeamsModel, said: dict[str, Any], **inputs: Any) -> httpx.Response:
    asked = await model.ask(**inputs)
    body = {"prediction_id": asked.json()["prediction_id"], **said}
    return await model.client.post(f"/serving/{model.short_name}/feedback", json=body)


async def test_feedback_that_contradicts_itself_is_refused(model: TeamsModel) -> None:
    for said in ({"verdict": "right", "label": "old"}, {"verdict": "wrong", "label": "young"}):
        refused = await _judged(model, said, age=1)
        assert (refused.status_code, "contradict each other" in refused.json()["detail"]) == (422, True)
    for said in ({"verdict": "right", "label": "young"}, {"verdict": "wrong", "label": "old"}):
        assert (await _judged(model, said, age=1)).json()["notes"] == []


async def test_a_right_label_that_the_version_does_not_know_is_noted(service: httpx.AsyncClient) -> None:
    model = TeamsModel(service)
    signature = {
        "inputs": {"features": {"type": "array", "shape": [2]}},
        "output": {"scores": "scores", "labels": ["no", "yes"]},
    }
    await model.publish(
        {"model.onnx": linear_onnx([[1, 0], [0, 1]], [0, 0]), "signature.json": json.dumps(signature)}
    )
    judged = await _judged(model, {"label": "maybe"}, features=[1, 2])
    assert judged.json()["feedback"]["verdict"] == "wrong"
    assert judged.json()["notes"] == ["'maybe' is none of the 2 labels of this version: no, yes"]
