"""The pages with predictions over HTTP: what they offer, what is refused, who may do what."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from app.dashboard.predictions.inputs import Pair, inputs_of, pairs_of
from app.dashboard.predictions.options import options_of, typed_for
from app.dashboard.submission_form import FormError
from common.auth import Role
from common.errors import InvalidRequest
from common.mongo.types import Client
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.served.documents import Canary, ServingOptions, Shadow
from tests.support.images import file_of, grey
from tests.support.samples import unique_name
from tests.support.teams_models import ADDS, TeamsModel, bright_files, tells
from tests.support.tokens import Guarded, guarded_service

pytestmark = pytest.mark.service

WHITE = file_of(grey() // 255 + 250, "PNG")
PARTS = {"HX-Request": "true"}

FIELDS: dict[str, Any] = {
    "age": {"type": "integer", "minimum": 0, "maximum": 150, "description": "In <years>"},
    "city": {"type": "string", "choices": ["Berlin", "Köln"]},
    "weight": {"type": "number", "default": 70.5},
    "wears_hat": {"type": "boolean", "default": True},
    "knows": {"type": "boolean", "optional": True},
    "vector": {"type": "array", "items": "number", "shape": [2], "optional": True},
    "text": {"type": "string", "optional": True},
    "name": {"type": "string", "max_length": 20, "optional": True},
}

TELLS_ALL = "def predict(inputs):\n    return {'label': 'old' if inputs['age'] > 40 else 'young', **inputs}\n"

KEYS: dict[str, str | bytes] = {
    "predict.py": TELLS_ALL,
    "signature.json": json.dumps({"inputs": FIELDS, "extra_inputs": True}),
    "metrics.json": json.dumps({"accuracy": 0.75}),
}


def text_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"].startswith("text/html"), answer.text
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)))


async def post(
    client: httpx.AsyncClient,
    path: str,
    *files: tuple[str, tuple[str, bytes]],
    headers: dict[str, str] | None = None,
    **typed: str,
) -> httpx.Response:
    """Send a form as the browser does that was shown it."""
    shown = await client.get("/ui/login")
    [token] = re.findall(r'name="csrf_token" value="([^"]+)"', shown.text)[-1:]
    data = {"csrf_token": token, **typed}
    return await client.post(f"/ui/prediction{path}", data=data, files=list(files) or None, headers=headers)


@pytest_asyncio.fixture(scope="module")
async def keys(service: httpx.AsyncClient) -> TeamsModel:
    """A model that is asked with values, and takes any further ones."""
    model = TeamsModel(service)
    await model.publish(KEYS)
    return model


@pytest_asyncio.fixture(scope="module")
async def bright(service: httpx.AsyncClient) -> TeamsModel:
    """A model that is asked with images."""
    model = TeamsModel(service)
    await model.publish(bright_files())
    return model


async def test_browsers_are_led_there_and_the_api_s_paths_stay(service: httpx.AsyncClient) -> None:
    led = await service.get("/prediction?cursor=x", headers={"Accept": "text/html,*/*"})
    assert (led.status_code, led.headers["location"]) == (307, "/ui/prediction?cursor=x")
    program = await service.get("/prediction", headers={"Accept": "application/json"})
    assert (program.status_code, program.headers["content-type"]) == (404, "application/problem+json")
    assert (await service.post("/prediction/initial_scale_out", json={})).status_code == 422
    page = await service.get("/prediction", headers={"Accept": "text/html"}, follow_redirects=True)
    assert re.search(r'href="/ui/prediction" aria-current="page">Predictions', page.text)
    assert (await service.get("/ui/prediction/none")).status_code == 404


async def test_an_empty_list_says_what_would_fill_it(service: httpx.AsyncClient) -> None:
    assert "There are no more" in text_of(await service.get("/ui/prediction?cursor=zzz"))


async def test_the_form_is_as_the_signature_says(keys: TeamsModel) -> None:
    page = (await keys.client.get(f"/ui/prediction/{keys.short_name}")).text
    assert re.search(r'name="value.age" type="number" step="1" min="0(\.0)?" max="150(\.0)?" value=""', page)
    assert re.search(r'name="value.weight" type="number" step="any" value="70.5"', page)
    assert re.search(r'<input type="checkbox"[^>]* name="value.wears_hat" value="true" checked', page)
    assert re.search(r'<select[^>]* name="value.city"[^>]*>\s*<option value="">choose one</option>', page)
    assert "<option>Köln</option>" in page
    assert re.search(r'<select[^>]* name="value.knows"', page)
    assert re.search(r'<textarea[^>]* name="value.vector"', page)
    assert re.search(r'name="value.name" value="" maxlength="20"', page)
    assert "In &lt;years&gt;. From 0 to 150" in page
    assert 'name="key.1"' in page
    more = await post(
        keys.client, f"/{keys.short_name}", **{"add": "pair", "key.1": "shoe", "value.age": "7"}
    )
    assert (more.status_code, 'name="key.2"' in more.text) == (200, True)
    assert 'name="key.1" value="shoe"' in more.text
    assert 'value="7"' in more.text
    assert "It was" not in text_of(more)


async def test_values_are_asked_and_what_was_typed_stays(keys: TeamsModel) -> None:
    typed = {"value.age": "41", "value.city": "Köln", "value.weight": "", "key.1": "<b>", "text.1": "[1, 2]"}
    page = await post(keys.client, f"/{keys.short_name}", **typed)
    assert page.status_code == 200, page.text
    assert "<h3>old</h3>" in page.text
    whole = json.loads(unescape(re.findall(r'aria-label="The whole answer">(.*?)</pre>', page.text, re.S)[0]))
    assert whole == {
        "label": "old",
        "age": 41,
        "city": "Köln",
        "weight": 70.5,
        "wears_hat": False,
        "<b>": [1, 2],
    }
    assert "<option selected>Köln</option>" in page.text
    assert 'name="key.1" value="&lt;b&gt;"' in page.text
    assert not re.search(r'name="value.wears_hat" value="true" checked', page.text)
    assert re.search(r"version 1; [0-9.]+ (ms|s), [0-9.]+ ms of it", text_of(page))
    part = await post(keys.client, f"/{keys.short_name}", headers=PARTS, **typed)
    assert part.text.lstrip().startswith('<section id="ask"')


@pytest.mark.parametrize(
    ("typed", "name", "told"),
    [
        ({"value.age": "200"}, "value.age", "Must be at most 150, and is 200."),
        ({"value.age": "1.5"}, "value.age", "Must be an integer"),
        ({"value.age": ""}, "value.age", "Is missing."),
        ({"value.city": ""}, "value.city", "Is missing."),
        ({"value.vector": "[1]"}, "value.vector", "Must have the shape"),
        ({"key.3": "", "text.3": "x"}, "key.3", "Give the value a name."),
        ({"key.3": "age", "text.3": "x"}, "key.3", "age is there already."),
    ],
)
async def test_what_is_wrong_stands_beside_its_field(
    keys: TeamsModel, typed: dict[str, str], name: str, told: str
) -> None:
    good = {"value.age": "41", "value.city": "Berlin", "value.weight": "71"}
    for headers in ({}, PARTS):
        page = await post(keys.client, f"/{keys.short_name}", headers=headers, **{**good, **typed})
        assert page.status_code == 422
        [note] = re.findall(
            rf'name="{re.escape(name)}"[^>]*aria-invalid="true" aria-describedby="([^"]+)"', page.text
        )
        assert f'<span class="note bad" id="{note}">{told}' in page.text
        assert '<li class="answer">' not in page.text
        if "value.weight" not in typed:
            assert 'value="71"' in page.text


async def test_images_have_an_answer_each(bright: TeamsModel) -> None:
    address = f"/{bright.short_name}"
    one = ("file.image", ("a <b>.png", WHITE))
    several = await post(bright.client, address, one, ("file.image", ("broken.png", b"none")))
    assert several.status_code == 200
    first, second = several.text.split('<li class="answer">')[1:]
    assert "<h3>bright</h3>" in first
    assert '<meter min="0" max="1" value="0.98' in first
    assert "a &lt;b&gt;.png" in first
    assert "cannot be read" in second
    [picture] = re.findall(r'<img src="([^"]+)"', first)
    small = await bright.client.get(unescape(picture))
    assert (small.status_code, small.headers["content-type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(small.content)).size == (17, 12)
    assert small.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in small.headers["content-security-policy"]
    whole = await bright.client.get(unescape(picture).partition("?")[0])
    assert (whole.content, whole.headers["content-disposition"]) == (WHITE, "inline")
    for odd in (picture.replace("/files/image", "/files/other"), picture.replace(bright.name, "none")):
        assert (await bright.client.get(unescape(odd))).status_code == 404

    alone = await post(bright.client, address, ("file.image", ("broken.png", b"none")))
    assert (alone.status_code, "cannot be read" in alone.text) == (422, True)
    none = await post(bright.client, address, ("file.image", ("", b"")))
    assert "Is missing." in none.text
    # Larger than forms of other pages may be, which are no files.
    large = file_of(Image.effect_noise((3200, 3200), 80), "PNG")
    assert len(large) > 8 * 1024 * 1024
    assert "<h3>" in (await post(bright.client, address, ("file.image", ("large.png", large)))).text
    too_large = await post(bright.client, address, ("file.image", ("huge.png", b"x" * (33 << 20))))
    assert (too_large.status_code, "SERVING_UPLOAD_MAX_BYTES" in too_large.text) == (413, True)


async def test_feedback_is_given_from_an_answer_and_from_the_list(bright: TeamsModel) -> None:
    page = await post(bright.client, f"/{bright.short_name}", ("file.image", ("a.png", WHITE)))
    prediction = re.findall(r'name="prediction_id" value="([^"]+)"', page.text)[0]
    assert f'id="prediction-{prediction}"' in page.text
    say = f"/{bright.short_name}/feedback"
    wrong = await post(
        bright.client, say, headers=PARTS, prediction_id=prediction, verdict="wrong", place="card"
    )
    assert wrong.text.lstrip().startswith(f'<div class="said" id="card-{prediction}')
    assert re.search(r'value="wrong" aria-pressed="true"', wrong.text)
    assert "<option>dark</option>" in wrong.text
    assert "<option>bright</option>" not in wrong.text, "it is what was answered"
    label = await post(bright.client, say, headers=PARTS, prediction_id=prediction, label="dark")
    assert "<option selected>dark</option>" in label.text
    back = await post(bright.client, say, prediction_id=prediction, verdict="right")
    assert back.headers["location"] == f"/ui/prediction/{bright.name}#prediction-{prediction}"
    shown = (await bright.client.get(f"/ui/prediction/{bright.name}")).text
    row = shown.partition(f'id="prediction-{prediction}"')[2].partition("</tr>")[0]
    assert re.search(r'value="right" aria-pressed="true"', row)
    assert "?small=true" in row
    assert "accuracy 0.9" in text_of(await bright.client.get(f"/ui/prediction/{bright.name}"))
    assert (await post(bright.client, say, prediction_id=prediction, verdict="odd")).status_code == 422
    assert (await post(bright.client, say, prediction_id="p-none", verdict="right")).status_code == 404
    listed = text_of(await bright.client.get("/ui/prediction"))
    assert bright.name in listed


async def test_predictions_are_paged(bright: TeamsModel) -> None:
    for _ in range(16):
        await bright.client.post(f"/serving/{bright.name}/predict", files={"image": ("a.png", WHITE)})
    first = await bright.client.get(f"/ui/prediction/{bright.name}")
    rows = re.findall(r'<tr id="prediction-([^"]+)"', first.text)
    assert len(rows) == 15
    [older] = re.findall(r'href="([^"]+)" rel="next"', first.text)
    second = await bright.client.get(unescape(older))
    assert not set(rows) & set(re.findall(r'<tr id="prediction-([^"]+)"', second.text))
    assert "every 4s" not in second.text


async def test_more_pairs_than_are_asked_are_refused(keys: TeamsModel) -> None:
    typed = {"value.age": "41", "value.city": "Berlin", **{f"key.{each}": f"k{each}" for each in range(201)}}
    refused = await post(keys.client, f"/{keys.short_name}", headers=PARTS, **typed)
    assert (refused.status_code, "at most 200 pairs" in refused.text) == (422, True)


async def test_a_page_asks_for_its_live_parts_alone(bright: TeamsModel) -> None:
    page = (await bright.client.get(f"/ui/prediction/{bright.name}")).text
    for part, begins in (("live", '<div id="live"'), ("latest", '<section id="latest"')):
        address = f"/ui/prediction/{bright.name}/{part}"
        assert f'hx-get="{address}"' in page
        answer = await bright.client.get(address, headers=PARTS)
        assert answer.text.lstrip().startswith(begins)
        assert answer.text.count(f'id="{part}"') == 1
        assert 'id="ask"' not in answer.text


async def test_how_it_is_served(service: httpx.AsyncClient) -> None:
    model = TeamsModel(service)
    for version in (1, 2):
        await model.publish(tells(version))
    address = f"/{model.name}"
    assert "Not served" in text_of(await service.get(f"/ui/prediction{address}"))
    started = await post(service, f"{address}/serve")
    assert (started.status_code, started.headers["location"]) == (303, f"/ui/prediction{address}")
    assert "Not served" not in text_of(await service.get(f"/ui/prediction{address}"))
    await model.serve(memory_limit_bytes=1 << 30)
    typed = {**typed_for(ServingOptions()), "canary_version": "1", "canary_share": "0.25", "replicas": "2"}
    assert (await post(service, f"{address}/serve", **typed)).status_code == 303
    options = (await model.details())["options"]
    assert (options["canary"], options["replicas"]) == ({"version": 1, "share": 0.25}, 2)
    assert options["memory_limit_bytes"] == 1 << 30, "what has no input stays"
    listed = text_of(await service.get("/ui/prediction"))
    assert "version 1, canary of 25%" in listed
    for odd, field, told in (
        ({"replicas": "0"}, "replicas", "greater than or equal to 1"),
        ({"replicas": "two"}, "replicas", "Write a whole number"),
        ({"canary_version": "champion"}, "canary_version", "Is the version that answers anyhow"),
        ({"canary_version": "9"}, "canary_version", "There is no version 9"),
        ({"canary_version": "Odd!"}, "canary_version", "Write the number of a version"),
        ({"canary_share": ""}, "canary_share", "Write which share"),
        ({"canary_share": "2"}, "canary_share", "less than or equal to 1"),
        ({"shadow_version": "2", "shadow_share": "0"}, "shadow_share", "greater than 0"),
    ):
        kept = await post(service, f"{address}/serve", **{**typed, **odd})
        assert kept.status_code == 422, odd
        assert re.search(rf'id="{field}-note">[^<]*{told}', kept.text), (odd, kept.text)
        assert '<details id="options" open>' in kept.text
    refused = await service.put(f"/serving/{model.name}", json={"shadow": {"version": 9}})
    assert (refused.status_code, "shadow.version: There is no version 9" in refused.text) == (422, True)

    back = await post(service, f"{address}/versions/1/promote")
    assert back.status_code == 303
    assert "Promote" in text_of(await service.get(f"/ui/prediction{address}"))
    assert (await service.get(f"/models/{model.name}")).json()["champion"] == 1
    assert (await post(service, f"{address}/versions/7/promote")).status_code == 404
    assert (await post(service, f"{address}/end")).status_code == 303
    assert (await service.get(f"/serving/{model.name}")).status_code == 404
    assert (await post(service, f"{address}/end")).status_code == 404
    assert "Not served" in text_of(await service.get(f"/ui/prediction{address}"))
    assert (await post(service, f"{address}/serve")).status_code == 303
    assert (await model.details())["options"] == options, "as it was before it was ended"


async def test_what_cannot_be_told_keeps_the_options_too(service: httpx.AsyncClient, mongo: Client) -> None:
    model = TeamsModel(service)
    for version in (1, 2):
        await model.publish(tells(version))
    unreadable = {"_id": f"{model.name}/1"}
    versions = mongo[service.database]["model_version"]  # type: ignore[attr-defined]
    await versions.update_one(unreadable, {"$set": {"training_data": "odd"}})
    typed = {**typed_for(ServingOptions()), "canary_version": "1", "canary_share": "0.375"}
    kept = await post(service, f"/{model.name}/serve", **typed)
    assert (kept.status_code, "training_data" in kept.text) == (500, True)
    assert re.search(r'name="canary_share" type="number" value="0.375"', kept.text)


async def test_the_version_that_is_to_answer_stays_chosen(service: httpx.AsyncClient) -> None:
    model = TeamsModel(service)
    for version in (1, 2):
        await model.publish(tells(version))
    await model.serve(canary={"version": 1, "share": 0.0})
    await model.ask(x=1)
    async with asyncio.timeout(60):
        while '<select name="version">' not in (await service.get(f"/ui/prediction/{model.name}")).text:
            await asyncio.sleep(0.2)
    page = await post(service, f"/{model.name}", **{"version": "1", "key.1": "x", "text.1": "1"})
    assert re.search(r'<option value="1" selected>1, canary', page.text)


async def test_what_does_not_load_is_told(service: httpx.AsyncClient) -> None:
    model = TeamsModel(service)
    await model.publish({"predict.py": "raise RuntimeError('no <weights> here')\ndef predict(inputs): ..."})
    for headers in ({}, PARTS):
        page = await post(service, f"/{model.name}", headers=headers, **{"key.1": "x", "text.1": "1"})
        assert page.status_code == 503
        assert "no &lt;weights&gt; here" in page.text
        assert 'name="key.1" value="x"' in page.text
    assert "version 1 does not load" in text_of(await service.get("/ui/prediction"))


async def test_the_form_follows_the_version_that_answers(service: httpx.AsyncClient) -> None:
    model = TeamsModel(service)
    signature = {"inputs": {"a": "float", "b": {"type": "number", "default": 1.0}}}
    await model.publish({"predict.py": ADDS, "signature.json": json.dumps(signature)})
    assert "sum" in (await post(service, f"/{model.name}", **{"value.a": "2"})).text
    later = json.dumps({"inputs": {"a": "float", "b": "float", "c": {"type": "number", "optional": True}}})
    await model.publish({"predict.py": ADDS, "signature.json": later})
    async with asyncio.timeout(60):
        while "value.c" not in (await service.get(f"/ui/prediction/{model.name}")).text:
            await asyncio.sleep(0.2)
    assert [each["name"] for each in (await model.details())["fields"]] == ["a", "b", "c"]


async def test_a_form_of_another_page_does_nothing(bright: TeamsModel) -> None:
    form = {"csrf_token": "odd", "prediction_id": "p", "verdict": "right"}
    for path in ("", "/serve", "/end", "/feedback", "/versions/1/promote"):
        address = f"/ui/prediction/{bright.name}{path}"
        assert (await bright.client.post(address, data=form)).status_code == 403, path
        assert (await bright.client.post(address)).status_code == 403, path


# --- rights -----------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module")
async def guarded(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guarded]:
    async with guarded_service(mongo_uri, mongo, tmp_path_factory.mktemp("guarded")) as service:
        yield service


async def test_everybody_sees_and_does_what_they_may(guarded: Guarded) -> None:
    ada, bob, rita, otto = [
        await guarded.of(await guarded.new(name, role))
        for name, role in (
            ("ada", Role.SUBMITTER),
            ("bob", Role.SUBMITTER),
            ("rita", Role.READER),
            ("otto", Role.OPERATOR),
        )
    ]
    model = TeamsModel(ada, unique_name("private"))
    await ada.put(f"/workspaces/{model.workspace}", json={"readers": ["rita"]})
    await model.publish(bright_files())
    await model.publish({**bright_files(), "metrics.json": '{"accuracy": 0.95}'})
    page = f"/ui/prediction/{model.name}"
    for who, may in ((ada, True), (rita, True), (otto, True), (bob, False)):
        assert (model.name in (await who.get("/ui/prediction")).text) is may
        for part in ("", "/live", "/latest"):
            assert (await who.get(f"{page}{part}")).status_code == (200 if may else 403)
    own, reader, operator = [(await who.get(page)).text for who in (ada, rita, otto)]
    for text, serves, promotes in ((own, True, False), (reader, False, False), (operator, True, True)):
        assert (f'action="{page}/serve"' in text) is serves
        assert ('id="options"' in text) is serves
        assert ("/versions/1/promote" in text) is promotes
    image = ("file.image", ("a.png", WHITE))
    refused = await post(rita, f"/{model.name}", image)
    assert (refused.status_code, "is not served" in refused.text) == (409, True)
    for who, path, status in (
        (bob, "", 403),
        (bob, "/serve", 403),
        (bob, "/feedback", 403),
        (rita, "/serve", 403),
        (ada, "/versions/1/promote", 403),
        (ada, "/serve", 303),
        (rita, "/end", 403),
    ):
        typed = {"prediction_id": "p-none", "verdict": "right"}
        assert (await post(who, f"/{model.name}{path}", **typed)).status_code == status, path
    asked = await post(rita, f"/{model.name}", image)
    assert "<h3>bright</h3>" in asked.text
    [picture] = re.findall(r'<img src="([^"]+)" alt="a.png"', asked.text)
    assert (await rita.get(unescape(picture))).status_code == 200
    assert (await bob.get(unescape(picture))).status_code == 403
    nobody = await guarded.client.get(page)
    assert (nobody.status_code, nobody.headers["location"].startswith("/ui/login?")) == (303, True)
    assert (await guarded.client.post(page, files={"file.image": ("a.png", WHITE)})).status_code == 303


# --- what is typed ------------------------------------------------------------------------------------


def test_options_are_typed_again() -> None:
    options = ServingOptions(
        version=3,
        replicas=2,
        idle_seconds=None,
        canary=Canary(version="next", share=0.125),
        shadow=Shadow(version=5),
        keep_inputs=False,
    )
    assert options_of(typed_for(options), options) == options
    assert options_of({}, options) == ServingOptions(idle_seconds=None, keep_inputs=False)
    with pytest.raises(FormError):
        options_of({"version": "0"}, options)


def test_pairs_are_in_order() -> None:
    typed = {"key.10": "b", "text.10": "2\r\n3", "key.2": " a ", "text.2": "", "key.x": "c", "key.": "d"}
    assert pairs_of(typed) == [Pair(2, "a", ""), Pair(10, "b", "2\n3")]
    assert pairs_of({}) == []
    with pytest.raises(InvalidRequest, match="at most 200 pairs"):
        pairs_of({f"key.{number}": "x" for number in range(201)})


def test_defaults_stand_in_the_form_until_something_is_typed() -> None:
    declaration = Declaration.parse({"inputs": FIELDS})
    fresh = {each.field.name: each.text for each in inputs_of(declaration)}
    assert (fresh["weight"], fresh["wears_hat"], fresh["age"]) == ("70.5", "true", "")
    typed = {each.field.name: each.text for each in inputs_of(declaration, {"value.weight": ""})}
    assert (typed["weight"], typed["wears_hat"]) == ("", "false")
