"""What clients in the field send to ask a model and to say whether it was right: thin aliases of asking."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from common.settings.settings import Settings
from submission.pipelines.digits import WORKSPACE as DIGITS
from tests.support.images import file_of, grey
from tests.support.samples import unique_name
from tests.support.services import service_in_process
from tests.support.teams_models import ADDS, TeamsModel, bright_files, tells

pytestmark = pytest.mark.service

DEFAULT = "asked-by-default"

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:60.0) Gecko/20100101 Firefox/60.0"

WHITE = file_of(grey() // 255 + 250, "PNG")
BLACK = file_of(grey() // 255, "PNG")

ADDING: dict[str, str | bytes] = {
    "predict.py": ADDS,
    "signature.json": json.dumps({"inputs": {"a": "float", "b": {"type": "number", "default": 1.0}}}),
}


@pytest.fixture
def model(service: httpx.AsyncClient) -> TeamsModel:
    return TeamsModel(service)


@pytest_asyncio.fixture(scope="module")
async def with_default(
    mongo_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """A service with SERVING_DEFAULT_MODEL."""

    def configure(settings: Settings) -> None:
        settings.serving.serving_default_model = DEFAULT

    async with service_in_process(
        mongo_uri, tmp_path_factory.mktemp("default"), configure=configure
    ) as client:
        yield client


async def test_where_none_is_named_the_only_one_is_asked(model: TeamsModel) -> None:
    """It comes first in this module: nothing is served yet."""
    client = model.client
    none = await client.post("/predict", json={"a": 2})
    assert (none.status_code, "No model is served" in none.text) == (409, True)
    await model.publish(ADDING)
    await model.serve()
    for sent in ({"json": {"a": 2}}, {"data": {"a": "2"}}):
        answer = await client.post("/predict", **sent)  # type: ignore[arg-type]
        assert (answer.json()["answer"], answer.json()["model"]) == ({"sum": 3.0}, model.name)
    another = TeamsModel(client)
    await another.publish(tells(1))
    await another.serve()
    several = await client.post("/predict", json={"a": 2})
    assert (several.status_code, "SERVING_DEFAULT_MODEL" in several.text) == (409, True)


async def test_a_workspace_s_latest_model_is_asked(model: TeamsModel) -> None:
    await model.publish(ADDING)
    address = f"/predict/{model.workspace}"
    for sent in ({"json": {"a": 2}}, {"json": {"inputs": {"a": 2}}}, {"data": {"a": "2"}}):
        answer = await model.client.post(address, **sent)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        assert (answer.json()["answer"], answer.json()["model"]) == ({"sum": 3.0}, model.name)
    parts: dict[str, Any] = {"a": (None, "2"), "b": (None, "5")}
    assert (await model.client.post(address, files=parts)).json()["answer"] == {"sum": 7.0}
    rows = await model.client.post(address, json={"inputs": [{"a": 1}, {"a": "x"}]})
    assert [each.get("answer") for each in rows.json()["predictions"]] == [{"sum": 2.0}, None]
    text = await model.client.post(address, json={"a": 1}, headers={"Accept": "text/plain"})
    assert text.headers["content-type"].startswith("text/plain")
    assert (text.text, text.headers["x-model"]) == ("{'sum': 2.0}\n", model.name)

    later = TeamsModel(model.client)
    later.workspace = model.workspace
    await later.publish(tells(1))
    answer = await model.client.post(address, json={"a": 2})
    assert (answer.json()["model"], answer.json()["label"]) == (later.name, "1")


@pytest.mark.parametrize("name", ["image", "file"])
async def test_an_image_comes_as_an_upload_or_as_the_body(model: TeamsModel, name: str) -> None:
    await model.publish(bright_files())
    address = f"/predict/{model.workspace}"
    uploaded = await model.client.post(address, files={name: ("a.png", WHITE)})
    assert uploaded.json()["label"] == "bright", uploaded.text
    for kind in ("image/png", "image/jpeg"):
        alone = await model.client.post(address, content=BLACK, headers={"Content-Type": kind})
        assert alone.json()["label"] == "dark", "what it is counts, not what it is called"
    several = await model.client.post(
        address,
        files=[("image", ("a.png", WHITE)), ("image", ("b.png", b"none")), ("image", ("c.png", BLACK))],
        headers={"Accept": "text/plain"},
    )
    first, second, third = several.text.splitlines()
    assert (first, third) == ("bright", "dark")
    assert second.startswith("error: image cannot be read")


async def test_the_digits_are_asked(service: httpx.AsyncClient) -> None:
    image = {"files": {"image": ("a.png", WHITE)}}
    none = await service.post("/digits/classify", **image)  # type: ignore[arg-type]
    assert none.status_code == 404
    digits = TeamsModel(service)
    digits.workspace = DIGITS
    await digits.publish(bright_files())
    found = await service.post("/digits/classify", **image)  # type: ignore[arg-type]
    assert (found.json()["label"], found.json()["model"]) == ("bright", digits.name)
    text = await service.post(
        "/digits/classify", content=WHITE, headers={"Content-Type": "image/png", "Accept": "text/plain"}
    )
    assert text.text == "bright\n"


async def test_where_none_is_named_the_one_of_the_settings_is_asked(with_default: httpx.AsyncClient) -> None:
    assert (await with_default.post("/predict", json={"a": 2})).status_code == 404, "it is not there yet"
    model, another = TeamsModel(with_default, DEFAULT), TeamsModel(with_default)
    await model.publish(ADDING)
    await another.publish(tells(1))
    await another.serve()
    answer = await with_default.post("/predict", json={"a": 2})
    assert (answer.json()["answer"], answer.json()["model"]) == ({"sum": 3.0}, model.name)


async def test_feedback_comes_as_json_and_as_a_form(model: TeamsModel) -> None:
    await model.publish(bright_files())
    asked = await model.client.post(f"/predict/{model.workspace}", files={"image": ("a.png", WHITE)})
    prediction = asked.json()["prediction_id"]

    async def said(**sent: Any) -> tuple[str, str | None, str]:
        answer = await model.client.post("/feedback", **sent)
        assert answer.status_code == 200, answer.text
        found = answer.json()["feedback"]
        return found["verdict"], found["label"], found["note"]

    name = {"prediction_id": prediction}
    assert await said(json={**name, "correct": True}) == ("right", None, "")
    assert await said(data={**name, "correct": "false", "label": "dark", "note": "at night"}) == (
        "wrong",
        "dark",
        "at night",
    )
    assert await said(json={**name, "label": "bright"}) == ("right", "bright", "")
    parts: dict[str, Any] = {key: (None, text) for key, text in {**name, "label": "dark"}.items()}
    assert await said(files=parts) == ("wrong", "dark", "")
    [version] = (await model.details())["versions"]
    assert [(live["right"], live["wrong"]) for live in version["live"]] == [(0, 1)]


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        ({"json": {"prediction_id": "p-none", "correct": True}}, 404, "p-none"),
        ({"data": {"prediction_id": "p-none", "correct": "true"}}, 404, "p-none"),
        ({"json": {"correct": True}}, 422, "prediction_id"),
        ({"data": {"prediction_id": "p-none", "correct": "perhaps"}}, 422, "correct"),
        ({"data": {"prediction_id": ["p-1", "p-2"], "correct": "true"}}, 422, "once"),
        ({"json": ["p-none"]}, 422, "dictionary"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 422, "no JSON"),
        ({"files": {"prediction_id": ("p.txt", b"p-none")}}, 422, "file"),
        ({"content": b"p-none", "headers": {"Content-Type": "text/plain"}}, 415, "JSON"),
        ({"json": {"prediction_id": "p-none", "note": "n" * 70_000}}, 413, "65,536"),
    ],
)
async def test_feedback_that_is_none_is_told_so(
    service: httpx.AsyncClient, sent: dict[str, Any], status: int, told: str
) -> None:
    answer = await service.post("/feedback", **sent)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in answer.text


async def test_of_a_workspace_that_is_not_there_nothing_is_asked(service: httpx.AsyncClient) -> None:
    for sent in ({"json": {"a": 1}}, {"data": {"a": "1"}}, {"files": {"image": ("a.png", WHITE)}}):
        unknown = await service.post("/predict/nobody", **sent)  # type: ignore[arg-type]
        assert unknown.status_code == 404, unknown.text
        assert "nobody" in unknown.json()["detail"]
    assert (await service.post("/predict/NO", json={"a": 1})).status_code == 422
    empty = unique_name("empty").replace("_", "-").lower()
    await service.put(f"/workspaces/{empty}")
    assert "has made no model" in (await service.post(f"/predict/{empty}", json={"a": 1})).json()["detail"]


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"Origin": "https://evil.example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"User-Agent": FIREFOX}, 415),
        ({"Referer": "https://evil.example.org/"}, 415),
        ({"Cookie": "a=b"}, 415),
        ({"User-Agent": FIREFOX, "Sec-Fetch-Site": "same-origin"}, None),
        ({"User-Agent": FIREFOX, "Origin": "http://127.0.0.1"}, None),
    ],
)
async def test_no_form_of_another_page_asks_or_says_anything(
    service: httpx.AsyncClient, headers: dict[str, str], refused: int | None
) -> None:
    for path in ("/predict/nobody", "/digits/classify", "/feedback", "/serving/none/predict"):
        for sent in ({"data": {"prediction_id": "p-none"}}, {"files": {"prediction_id": (None, b"p-none")}}):
            answer = await service.post(path, headers=headers, **sent)  # type: ignore[arg-type]
            taken = answer.status_code not in (403, 415)
            assert (None if taken else answer.status_code) == refused, (path, answer.text)
