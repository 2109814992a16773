"""How the page with predictions looks: long names in windows of any width, and its picture in docs/pages.md.

`PICTURES=docs/pages python -m pytest tests/e2e/test_prediction_page_in_a_window.py` takes the picture anew.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.support.browser import NARROW, WIDE, assert_usable, drop_files, opened_page
from tests.support.nearest_digits import digit_files, digit_images
from tests.support.services import client_of_started_service
from tests.support.teams_models import TeamsModel

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

LONG = "Name_" + "without_any_blanks_" * 8
SAYS_MUCH = """
def predict(inputs):
    scores = {"x" * 150: 0.5, "y": 0.5}
    return {"label": "label_" * 30, "confidence": 0.5, "output_probability": scores}
"""
FAILS = "raise OSError('weights.bin ' + 'is_missing_' * 30)\n"

_MOST_BYTES = 200_000


@pytest_asyncio.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """Of a service of the module's own."""
    async with client_of_started_service(tmp_path_factory.mktemp("window")) as client:
        yield client


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
