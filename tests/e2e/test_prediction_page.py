"""People at the page with predictions: a real Chromium, a service of its own, and models that answer.

`PICTURES=docs/pages python -m pytest tests/e2e/test_prediction_page.py` takes its picture anew.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Locator, Page, Route, expect

from tests.support.browser import (
    NARROW,
    PATIENCE_MS,
    WIDE,
    asked,
    assert_usable,
    drop_files,
    follow,
    once,
    opened_page,
)
from tests.support.images import file_of
from tests.support.nearest_digits import digit_files, digit_images
from tests.support.services import client_of_started_service, on_mongodb
from tests.support.teams_models import TeamsModel, tells, top_files

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

AGES = """
def predict(inputs):
    return {"label": "old" if inputs["age"] > 40 else "young", **inputs}
"""

KEYS: dict[str, str | bytes] = {
    "predict.py": AGES,
    "signature.json": json.dumps(
        {
            "inputs": {
                "age": {"type": "integer", "minimum": 0, "maximum": 150},
                "city": {"type": "string", "choices": ["Berlin", "Bonn"], "default": "Bonn"},
            },
            "extra_inputs": True,
        }
    ),
}


LONG = "Name_" + "without_any_blanks_" * 8
SAYS_MUCH = """
def predict(inputs):
    scores = {"x" * 150: 0.5, "y": 0.5}
    return {"label": "label_" * 30, "confidence": 0.5, "output_probability": scores}
"""
FAILS = "raise OSError('weights.bin ' + 'is_missing_' * 30)\n"

_MOST_BYTES = 200_000


@pytest_asyncio.fixture(scope="module")
async def client(
    mongo_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """Of a service of the module's own."""
    folder = tmp_path_factory.mktemp("predictions")
    async with client_of_started_service(folder, **on_mongodb(mongo_uri)) as client:
        yield client


def upside_down() -> bytes:
    """A picture whose upper half is bright, stored bottom up, with the tag that says so."""
    pixels = np.zeros((16, 16), np.uint8)
    pixels[8:] = 255
    picture = Image.fromarray(pixels)
    tags = picture.getexif()
    tags[0x0112] = 3
    return file_of(picture, "JPEG", exif=tags)


async def asks_with_images(page: Page, model: TeamsModel) -> None:
    await page.goto("/")
    await follow(page, page.get_by_role("link", name="Predictions", exact=True))
    await assert_usable(page)
    await page.get_by_role("link", name=model.name).click()
    await expect(page.locator("#live")).to_contain_text("Not served")
    clear = Image.new("RGBA", (16, 16), (255, 255, 255, 0))
    clear.paste((0, 0, 0, 255), (0, 8, 16, 16))
    await drop_files(
        page,
        {
            "clear.png": file_of(clear, "PNG"),
            "turned.jpg": upside_down(),
            "broken.png": file_of(clear, "PNG")[:60],
        },
    )
    # What is clear shows the white background, and what is turned is seen upright: both are bright above.
    cards: dict[str, Any] = {
        name: page.locator(".answer", has_text=name) for name in ("clear.png", "turned.jpg", "broken.png")
    }
    for name in ("clear.png", "turned.jpg"):
        await expect(cards[name].get_by_role("heading")).to_have_text("top")
        await expect(cards[name].get_by_role("img")).to_be_visible()
        await expect(cards[name].get_by_label("Confidence")).to_have_attribute(
            "value", re.compile(r"^(1|0\.9)")
        )
    await expect(cards["broken.png"]).to_contain_text("image cannot be read")
    await expect(page.locator("form [role=status]").first).to_have_text("3 of 3 answered.")
    await expect(page.locator("#version-1-primary .asked")).to_have_text("2")
    await assert_usable(page)

    await cards["turned.jpg"].get_by_role("button", name="Wrong").click()
    await cards["turned.jpg"].get_by_label("Right label").select_option("bottom")
    await cards["turned.jpg"].get_by_role("button", name="Save").click()
    await expect(cards["turned.jpg"].get_by_role("status")).to_have_text("noted: bottom")
    await cards["clear.png"].get_by_role("button", name="Right", exact=True).focus()
    await page.keyboard.press("Enter")
    await expect(cards["clear.png"].get_by_role("status")).to_have_text("noted")
    await expect(page.locator("#version-1-primary .wrong")).to_have_text("1")
    await expect(page.locator("#version-1-primary")).to_contain_text("50%")
    await expect(page.locator("#version-1-primary")).to_contain_text("accuracy 0.9")
    latest = page.locator("#latest tbody tr")
    await expect(latest).to_have_count(2)
    await expect(latest.filter(has_text="noted: bottom")).to_have_count(1)
    await expect(latest.get_by_role("img")).to_have_count(2)
    await assert_usable(page)


async def asks_with_values(page: Page, model: TeamsModel) -> None:
    await page.goto(f"/ui/prediction/{model.short_name}")
    await expect(page.get_by_label("city")).to_have_value("Bonn")
    await page.get_by_label("age", exact=True).fill("200")
    await page.get_by_label("city").select_option("Berlin")
    await page.keyboard.press("Tab")
    await page.get_by_role("button", name="Ask", exact=True).click()
    await expect(page.get_by_label("age", exact=True)).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_label("age", exact=True)).to_have_accessible_description(
        "Must be at most 150, and is 200."
    )
    await expect(page.locator(".answer")).to_have_count(0)
    await assert_usable(page)

    await page.get_by_label("age", exact=True).fill("41")
    await page.get_by_label("Key", exact=True).fill("shoe")
    await page.get_by_label("Value", exact=True).fill("43")
    await page.get_by_role("button", name="Add a pair").click()
    await expect(page.get_by_label("Key", exact=True).nth(1)).to_be_focused()
    await page.get_by_label("Key", exact=True).nth(1).fill("hats")
    await page.get_by_label("Value", exact=True).nth(1).fill('["a", "b"]')
    await page.keyboard.press("Enter")
    card = page.locator(".answer")
    await expect(card.get_by_role("heading")).to_have_text("old")
    await card.get_by_text("The whole answer").click()
    answer = json.loads(await card.get_by_label("The whole answer").inner_text())
    assert answer == {"label": "old", "age": 41, "city": "Berlin", "shoe": 43, "hats": ["a", "b"]}
    await expect(page.get_by_label("age", exact=True)).to_have_value("41")
    await expect(page.get_by_label("age", exact=True)).not_to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_label("Value", exact=True).nth(1)).to_have_value('["a", "b"]')
    await page.set_viewport_size(NARROW)
    await assert_usable(page)


async def test_images_are_dropped_and_values_typed(client: httpx.AsyncClient) -> None:
    top, keys = TeamsModel(client), TeamsModel(client)
    await top.publish(top_files())
    await keys.publish(KEYS)
    async with opened_page(str(client.base_url)) as page:
        await asks_with_images(page, top)
        await asks_with_values(page, keys)


async def test_each_of_many_images_has_its_answer(client: httpx.AsyncClient) -> None:
    """All but the first ones are answered as the second one was: what is asked for is the page."""
    picture = file_of(Image.new("L", (16, 16), 255), "PNG")
    answers: list[str] = []
    one_by_one = asyncio.Lock()

    async def answer(route: Route) -> None:
        async with one_by_one:
            if not answers:
                answers.append("")
                await route.abort()
                return
            if len(answers) == 1:
                # The page's patience does not hold for this: Playwright's own is 30 s.
                answers.append(await (await route.fetch(timeout=PATIENCE_MS)).text())
            await route.fulfill(content_type="text/html", body=answers[1])

    top = TeamsModel(client)
    await top.publish(top_files())
    (await top.ask_with_image(picture)).raise_for_status()  # now it is loaded, whatever that took
    async with opened_page(str(client.base_url)) as page:
        await page.goto(f"/ui/prediction/{top.short_name}")
        await page.route(f"**/prediction/{top.name}", answer)
        await drop_files(page, {f"{number}.png": picture for number in range(203)})
        status = page.locator("form [role=status]").first
        await expect(status).to_have_text("202 of 203 answered, 1 not.")
        await expect(page.locator(".answer h3")).to_have_count(202)
        await expect(page.locator(".answer img")).to_have_count(203)
        await expect(page.locator(".answer .bad")).to_have_text("The service does not answer; ask again.")
        await expect(page.locator(".answer .waits")).to_have_count(0)


async def test_a_refused_verdict_is_read_and_not_said_to_be_tried_again(client: httpx.AsyncClient) -> None:
    model = TeamsModel(client)
    await model.publish(tells(1))
    assert (await model.ask(x=1)).status_code == 200
    async with opened_page(str(client.base_url)) as page:
        await page.goto(f"/ui/prediction/{model.short_name}")
        await once(page, "**/feedback", status=409, content_type="text/plain", body="Conflict: not now.")
        right = page.locator("#latest").get_by_role("button", name="Right", exact=True)
        await right.click()
        troubles = page.locator("#troubles")
        await expect(troubles).to_contain_text("not now.")
        await asked(page, "**/live")
        await expect(troubles).to_contain_text("not now.")
        await expect(troubles).not_to_contain_text("again")
        await right.click()
        await expect(page.locator("#latest")).to_contain_text("noted")
        await expect(troubles).to_be_empty()


# --- how it looks -------------------------------------------------------------------------------


async def test_long_names_take_nothing_else_out_of_sight(client: httpx.AsyncClient) -> None:
    model, broken = TeamsModel(client, LONG), TeamsModel(client)
    await model.publish({"predict.py": SAYS_MUCH})
    await broken.publish({"predict.py": FAILS})
    assert (await model.ask(**{LONG: LONG})).status_code == 200
    assert (await broken.ask()).status_code == 503
    async with opened_page(str(client.base_url)) as page:
        for window in (WIDE, NARROW):
            await page.set_viewport_size(window)
            await page.goto("/ui/prediction")
            row = page.locator("tbody", has=page.get_by_role("link", name=model.name))
            await _is_in_sight(page, row.locator(".state"))
            await assert_usable(page)
            await page.goto(f"/ui/prediction/{model.name}")
            await page.get_by_role("button", name="Ask", exact=True).click()
            await expect(page.locator(".answer")).to_have_count(1)
            await page.locator(".answer").get_by_text("Scores").click()
            await assert_usable(page)
        unknown = await client.get("/ui/prediction/spark.none.program")
        assert "spark.spark" not in unknown.text


async def _is_in_sight(page: Page, element: Locator) -> None:
    box = await element.bounding_box()
    assert box is not None
    assert page.viewport_size is not None
    assert box["x"] + box["width"] <= page.viewport_size["width"]


async def test_a_picture_for_the_documentation(client: httpx.AsyncClient, tmp_path: Path) -> None:
    model = TeamsModel(client, "digits")
    await model.publish(digit_files())
    await model.publish(digit_files())
    await model.serve(canary={"version": 1, "share": 0})
    images = digit_images(3)
    first = await client.post(
        f"/serving/{model.short_name}/predict",
        files={"image": next(iter(digit_images(4).values()))},
    )
    assert first.status_code == 200, "it is loaded now"
    async with opened_page(str(client.base_url), device_scale_factor=1) as page:
        await page.goto(f"/ui/prediction/{model.short_name}")
        await drop_files(page, images)
        for name in images:
            card = page.locator(".answer", has_text=name)
            await expect(card.get_by_role("heading")).to_have_text(name[0])
            await card.get_by_role("button", name="Right", exact=True).click()
            await expect(card.get_by_role("status")).to_have_text("noted")
        await expect(page.locator("#version-2-primary .asked")).to_have_text("4")
        await expect(page.locator("#version-2-primary")).to_contain_text("100%")
        await expect(page.locator("#latest").get_by_role("img")).to_have_count(4)
        await expect(page.locator("#latest").get_by_text("noted")).to_have_count(3)
        await page.mouse.move(0, 0)
        picture = await page.screenshot(full_page=True)
    assert len(picture) <= _MOST_BYTES
    folder = Path(os.environ.get("PICTURES") or tmp_path)
    (folder / "prediction.png").write_bytes(picture)
