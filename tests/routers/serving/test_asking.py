"""Asking models of teams over HTTP: a real engine, real processes, a real MongoDB."""

import asyncio
import base64
import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.support.teams_models import (
    ADDS,
    BRIGHT,
    TeamsModel,
    bright_files,
    bright_onnx,
    linear_onnx,
    tells,
)

pytestmark = pytest.mark.service

ENDS_WITH_13 = """
import os

def predict_batch(inputs):
    if any(each["x"] == 13 for each in inputs):
        os._exit(3)
    return [{"label": str(each["x"])} for each in inputs]
"""


@pytest.fixture
def model(service: httpx.AsyncClient) -> TeamsModel:
    return TeamsModel(service)


async def test_key_values_are_answered(model: TeamsModel) -> None:
    signature = {"inputs": {"a": "float", "b": {"type": "number", "default": 1.0}}}
    await model.publish({"predict.py": ADDS, "signature.json": json.dumps(signature)})

    answer = (await model.ask(a=2)).json()
    assert answer["answer"] == {"sum": 3.0}
    assert (answer["model"], answer["version"], answer["role"]) == (model.name, 1, "primary")
    assert answer["prediction_id"].startswith("p-")
    assert answer["timing_milliseconds"]["total"] > 0
    assert answer["notes"] == []

    for inputs, word in [
        ({"a": "2"}, "a must be a number"),
        ({}, "a is missing"),
        ({"a": 1, "bb": 2}, "did you mean b?"),
        ({"a": 13}, "thirteen is not added"),
    ]:
        refused = await model.ask(**inputs)
        assert refused.status_code == 422, refused.text
        assert word in refused.json()["detail"]

    several = await model.client.post(
        f"/serving/{model.name}/predict", json={"inputs": [{"a": 1}, {"a": 13}, {"a": "x"}, {"a": 4, "b": 2}]}
    )
    predictions = several.json()["predictions"]
    assert [each.get("answer") for each in predictions] == [{"sum": 2.0}, None, None, {"sum": 6.0}]
    assert predictions[1]["error"]["status"] == 422
    assert predictions[2]["error"]["errors"][0]["field"] == "a"

    text = await model.client.post(
        f"/serving/{model.short_name}/predict",
        data={"a": "2", "b": "5"},
        headers={"accept": "text/plain"},
    )
    assert text.text == "{'sum': 7.0}\n"
    assert text.headers["x-model-version"] == "1"


async def test_images_are_answered_in_every_way_that_they_come(model: TeamsModel) -> None:
    await model.publish(bright_files())
    white, clear = _png("L", 250), _png("RGBA", (0, 0, 0, 0))
    address = f"/serving/{model.short_name}/predict"

    uploaded = await model.client.post(address, files={"image": ("a.png", white)})
    assert uploaded.json()["label"] == "bright"
    assert uploaded.json()["confidence"] == pytest.approx(250 / 255, abs=1e-3)
    alone = await model.client.post(address, content=clear, headers={"content-type": "image/png"})
    assert alone.json()["label"] == "bright", "what is clear shows the background, which is white"
    in_json = await model.ask(image=base64.b64encode(_png("L", 3)).decode())
    assert in_json.json()["label"] == "dark"

    several = await model.client.post(
        address,
        files=[("image", ("a.png", white)), ("image", ("b.png", b"no image")), ("image", ("c.png", clear))],
    )
    first, second, third = several.json()["predictions"]
    assert (first["label"], third["label"]) == ("bright", "bright")
    assert second["error"]["status"] == 422
    half = await model.client.post(address, files={"image": ("a.png", _noise()[:400])})
    assert half.status_code == 422
    assert "image" in half.json()["detail"]


async def test_feedback_is_counted_once_and_shown_beside_what_was_trained(model: TeamsModel) -> None:
    await model.publish(bright_files())
    address = f"/serving/{model.short_name}/feedback"
    found = await model.client.post(
        f"/serving/{model.short_name}/predict", files={"image": ("a.png", _png("L", 250))}
    )
    prediction = found.json()["prediction_id"]

    for body in ({"verdict": "right"}, {"verdict": "right"}, {"label": "dark", "note": "at night"}):
        said = await model.client.post(address, json={"prediction_id": prediction, **body})
        assert said.status_code == 200, said.text
    assert said.json()["feedback"]["verdict"] == "wrong"
    names = "id model version role at label confidence feedback notes"
    assert set(said.json()) == set(names.split()), "not what was asked, nor the whole answer"
    [version] = (await model.details())["versions"]
    assert version["trained_with"] == {"accuracy": 0.9}
    [live] = version["live"]
    assert (live["right"], live["wrong"], live["accuracy"]) == (0, 1, 0.0)

    unknown = await model.client.post(address, json={"prediction_id": "p-none", "verdict": "right"})
    assert unknown.status_code == 404
    nothing = await model.client.post(address, json={"prediction_id": prediction})
    assert nothing.status_code == 422
    page = (await model.client.get(f"/serving/{model.short_name}/predictions")).json()
    assert page["items"][0]["files"] == ["image"]
    assert page["items"][0]["feedback"]["label"] == "dark"


async def test_a_version_takes_over_and_gives_way_without_a_failed_question(model: TeamsModel) -> None:
    await model.publish(tells(1))
    await model.serve(replicas=1)
    assert (await model.ask(x=1)).json()["label"] == "1"
    await model.publish(tells(2))
    statuses: list[int] = []
    seen: list[str] = []

    async def asks() -> None:
        while "stop" not in seen:
            answer = await model.ask(x=1)
            statuses.append(answer.status_code)
            seen.append(answer.json().get("label", answer.text))

    asking = [asyncio.create_task(asks()) for _ in range(2)]
    await _until(lambda: "2" in seen)
    back = await model.client.put(f"/models/{model.name}/aliases/champion", json={"version": 1})
    assert back.status_code == 200
    at = len(seen)
    await _until(lambda: "1" in seen[at:] and seen[-1] == "1")
    seen.append("stop")
    await asyncio.gather(*asking)
    assert set(statuses) == {200}


async def test_a_version_that_does_not_load_changes_nothing_but_what_is_told(model: TeamsModel) -> None:
    await model.publish(tells(1))
    assert (await model.ask(x=1)).json()["label"] == "1"
    await model.publish({"predict.py": "raise RuntimeError('no weights here')\ndef predict(inputs): ..."})

    async def told() -> bool:
        return any("no weights here" in note for note in (await model.ask(x=1)).json()["notes"])

    await _until_true(told)
    answer = (await model.ask(x=1)).json()
    assert answer["label"] == "1"


async def test_a_canary_and_a_shadow_are_asked_and_recorded(model: TeamsModel) -> None:
    for version in (1, 2, 3):
        await model.publish(tells(version))
    await model.serve(version=1, canary={"version": 2, "share": 0.5}, shadow={"version": 3})
    assert (await model.ask(x=0)).status_code == 200
    await _until_true(lambda: _has_roles(model, 3))
    answers = [(await model.ask(x=number)).json() for number in range(30)]
    assert {(each["label"], each["role"]) for each in answers} == {("1", "primary"), ("2", "canary")}

    async def recorded() -> bool:
        page = (await model.client.get(f"/serving/{model.short_name}/predictions")).json()["items"]
        shadows = [each for each in page if each["role"] == "shadow"]
        return len(shadows) >= 10 and all(each["agrees"] is False and each["shadow_of"] for each in shadows)

    await _until_true(recorded)
    wanted = {"inputs": {"x": 1}, "version": 3}
    asked = await model.client.post(f"/serving/{model.short_name}/predict", json=wanted)
    assert asked.json()["label"] == "3"


async def test_a_shadow_is_given_what_its_own_signature_says(model: TeamsModel) -> None:
    """The third takes no images at all: that is an error of it, and nobody is told."""
    await model.publish(bright_files())
    larger = {**BRIGHT, "inputs": {"image": {**BRIGHT["inputs"]["image"], "width": 16, "height": 16}}}
    await model.publish({"model.onnx": bright_onnx(16), "signature.json": json.dumps(larger)})
    await model.publish(
        {"predict.py": ADDS, "signature.json": json.dumps({"inputs": {"a": "float"}})},
    )
    address = f"/serving/{model.short_name}/predict"

    async def figures(version: int) -> dict[str, Any]:
        answer = await model.client.post(address, files={"image": ("a.png", _png("L", 250))})
        assert (answer.status_code, answer.json()["label"]) == (200, "bright")
        [found] = [each for each in (await model.details())["versions"] if each["version"] == version]
        return next((live for live in found["live"] if live["role"] == "shadow"), {})

    for version, key in ((2, "agreed"), (3, "errors")):
        await model.serve(version=1, shadow={"version": version})

        async def counted(version: int = version, key: str = key) -> bool:
            return bool((await figures(version)).get(key))

        await _until_true(counted)
        other = {"agreed": "errors", "errors": "predictions"}[key]
        assert not (await figures(version))[other]


async def test_a_form_may_have_a_field_called_version(model: TeamsModel) -> None:
    says = "VERSION = {}\ndef predict(inputs):\n    return f\"{{VERSION}}: {{inputs.get('version')}}\"\n"
    takes = json.dumps({"inputs": {"version": "str"}})
    for number in (1, 2):
        await model.publish({"predict.py": says.format(number), "signature.json": takes})
    await model.publish(
        {"predict.py": says.format(3), "signature.json": json.dumps({"inputs": {"a": "str"}})}
    )
    await model.serve(version=1, canary={"version": 2, "share": 1e-9}, shadow={"version": 3})
    address = f"/serving/{model.short_name}/predict"

    async def answers(query: str = "", **sent: Any) -> Any:
        answer = await model.client.post(f"{address}{query}", **sent)
        assert answer.status_code == 200, answer.text
        return answer.json()["answer"]

    assert await answers(data={"version": "2"}) == "1: 2", "asleep, too"
    await _until_true(lambda: _has_roles(model, 3))
    assert await answers(data={"version": "2"}) == "1: 2"
    assert await answers("?version=2", data={"version": "old"}) == "2: old"
    assert await answers("?version=3", data={"a": "x"}) == "3: None"
    assert await answers("?version=2", json={"inputs": {"version": "x"}, "version": 1}) == "2: x"
    assert await answers(json={"inputs": {"version": "x"}, "version": 2}) == "2: x"
    refused = await model.client.post(f"{address}?version=!", data={"version": "2"})
    assert (refused.status_code, "alias" in refused.json()["detail"]) == (422, True)


async def test_a_label_of_half_a_character_is_answered_and_remembered(model: TeamsModel) -> None:
    code = "def predict(inputs):\n    return {'label': 'a\\ud800', '\\udfff': [inputs['x']]}\n"
    await model.publish({"predict.py": code})
    answer = (await model.ask(x=1)).json()
    assert (answer["label"], answer["answer"]) == ("a?", {"label": "a?", "?": [1]})
    assert answer["notes"] == []
    text = await model.client.post(
        f"/serving/{model.short_name}/predict", json={"inputs": {"x": 1}}, headers={"accept": "text/plain"}
    )
    assert text.text == "a?\n"
    page = (await model.client.get(f"/serving/{model.short_name}/predictions")).json()
    assert [each["label"] for each in page["items"]] == ["a?", "a?"]


async def test_images_that_are_too_large_together_are_refused(model: TeamsModel) -> None:
    files: dict[str, str | bytes] = {
        "predict.py": "def predict(image):\n    return str(image.shape)\n",
        "signature.json": json.dumps({"inputs": {"image": {"type": "image", "mode": "RGB"}}}),
    }
    await model.publish(files)
    large = _png("L", 0, 5_000)
    address = f"/serving/{model.short_name}/predict"
    one = await model.client.post(address, files={"image": ("a.png", large)})
    assert one.json()["label"] == "(5000, 5000, 3)", one.text
    many = await model.client.post(address, files=[("image", (f"{n}.png", large)) for n in range(4)])
    assert (many.status_code, "SERVING_MAX_WAITING_BYTES" in many.text) == (413, True)


async def test_what_is_asked_of_onnx_columns_gets_labels(model: TeamsModel) -> None:
    fields = {name: {"type": "number"} for name in ("long", "wide")}
    signature = {
        "inputs": fields,
        "output": {"scores": "scores", "labels": ["no", "yes"], "activation": "softmax"},
    }
    await model.publish(
        {"model.onnx": linear_onnx([[1, 0], [0, 1]], [0, 0]), "signature.json": json.dumps(signature)}
    )
    answer = (await model.ask(long=0.0, wide=3.0)).json()
    assert answer["label"] == "yes"
    assert answer["confidence"] == pytest.approx(0.9526, abs=1e-3)
    assert list(answer["scores"]) == ["yes", "no"]


async def test_a_model_sleeps_and_wakes(model: TeamsModel) -> None:
    await model.publish(tells(1))
    await model.serve(idle_seconds=0.5)
    assert (await model.ask(x=1)).status_code == 200

    async def sleeps() -> bool:
        return (await model.details())["state"] == "ASLEEP"

    for _ in range(2):
        await _until_true(sleeps)
        assert (await model.ask(x=1)).json()["label"] == "1"


async def test_what_kills_its_process_twice_is_refused_and_others_are_answered(model: TeamsModel) -> None:
    await model.publish({"predict.py": ENDS_WITH_13})
    await model.serve(max_batch_rows=8, batch_wait_milliseconds=50)
    assert (await model.ask(x=1)).json()["label"] == "1"

    answers = await asyncio.gather(*(model.ask(x=number) for number in (1, 2, 13, 3)))
    assert [answer.status_code for answer in answers] == [200, 200, 502, 200]
    again = await model.ask(x=13)
    assert again.status_code == 422, again.text
    assert "ended" in again.json()["detail"]
    assert (await model.ask(x=5)).json()["label"] == "5"


async def test_who_ends_its_process_with_one_row_after_another_is_refused_alone(model: TeamsModel) -> None:
    code = (
        "import os\ndef predict(inputs):\n    return os._exit(3) if inputs['x'] < 0 else str(inputs['x'])\n"
    )
    await model.publish({"predict.py": code})
    address = f"/serving/{model.short_name}/predict"

    async def asks(caller: str, x: int) -> httpx.Response:
        headers = {"X-Requested-By": caller}
        return await model.client.post(address, json={"inputs": {"x": x}}, headers=headers)

    assert (await asks("somebody", 1)).json()["label"] == "1"
    assert [(await asks("poisoner", -x)).status_code for x in range(1, 6)] == [502] * 5
    refused = await asks("poisoner", 1)
    assert (refused.status_code, "others may ask it" in refused.text) == (503, True)
    assert (await asks("somebody", 2)).json()["label"] == "2"


async def test_who_is_too_many_is_told_to_come_again(model: TeamsModel) -> None:
    await model.publish(
        {"predict.py": "import time\ndef predict(inputs):\n    time.sleep(0.3)\n    return 1\n"}
    )
    await model.serve(max_queue_rows=2, max_batch_rows=1)
    assert (await model.ask(x=1)).status_code == 200
    answers = await asyncio.gather(*(model.ask(x=number) for number in range(8)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert int(refused[0].headers["retry-after"]) >= 1
    assert {answer.status_code for answer in answers} == {200, 429}


async def test_what_takes_too_long_is_ended_and_the_next_is_answered(model: TeamsModel) -> None:
    code = "import time\ndef predict(inputs):\n    time.sleep(inputs['seconds'])\n    return 'done'\n"
    await model.publish({"predict.py": code})
    await model.serve(time_limit_seconds=1.0)
    assert (await model.ask(seconds=0)).json()["answer"] == "done"
    assert (await model.ask(seconds=60)).status_code in (502, 504)
    await _until_true(lambda: _answers(model))


async def test_what_answers_no_question_becomes_no_version(model: TeamsModel) -> None:
    await model.publish(tells(1))
    folder = {"notes.txt": "nothing"}
    with pytest.raises(AssertionError, match="neither a model"):
        await model.publish(folder)


async def _answers(model: TeamsModel) -> bool:
    return (await model.ask(seconds=0)).status_code == 200


async def _has_roles(model: TeamsModel, roles: int) -> bool:
    return len((await model.details())["loaded"]) == roles


async def _until(condition: Any, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


async def _until_true(condition: Any, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.2)


def _png(mode: str, colour: Any, side: int = 16) -> bytes:
    content = io.BytesIO()
    Image.new(mode, (side, side), colour).save(content, "PNG")
    return content.getvalue()


def _noise() -> bytes:
    content = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(content, "PNG")
    return content.getvalue()
