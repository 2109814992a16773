"""A real Chromium with a page of the service, and what must be true of every page."""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, Playwright, async_playwright, expect

from tests.support.chromium import ARGUMENTS, ChromiumMissing, chromium

PATIENCE_MS = 60_000
"""Milliseconds for what has to come, on a machine that stands still now and then."""

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 800}

_DROPS = """
(form, files) => {
  const dropped = new DataTransfer();
  for (const { name, content } of files) {
    const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
    dropped.items.add(new File([bytes], name, { type: "image/png" }));
  }
  for (const kind of ["dragover", "drop"]) {
    form.dispatchEvent(new DragEvent(kind, { dataTransfer: dropped, bubbles: true, cancelable: true }));
  }
}
"""


class _Shared:
    """What all pages of this process are opened in: its start takes as long as many a test."""

    playwright: Playwright | None = None
    browser: Browser | None = None


async def _browser() -> Browser:
    """The one that is there, or another one; skips without any."""
    if _Shared.browser is not None and _Shared.browser.is_connected():
        return _Shared.browser
    try:
        found = chromium()
    except ChromiumMissing as reason:
        pytest.skip(f"no browser: {reason}")
    if _Shared.playwright is None:
        _Shared.playwright = await async_playwright().start()
    # As in a container: there Chromium names a language that Intl does not know.
    _Shared.browser = await _Shared.playwright.chromium.launch(
        executable_path=found.executable, env={**found.environment, "LANG": "C"}, args=list(ARGUMENTS)
    )
    return _Shared.browser


async def close_browser() -> None:
    """End it; nothing where none was started."""
    if _Shared.browser is not None:
        await _Shared.browser.close()
    if _Shared.playwright is not None:
        await _Shared.playwright.stop()
    _Shared.browser = _Shared.playwright = None


@asynccontextmanager
async def opened_page(url: str, **context: Any) -> AsyncIterator[Page]:
    """A page whose errors fail the test, also those that nobody asks for; skips without a browser.

    It shares nothing with other pages but the browser.

    Args:
        context: Of Playwright, such as `color_scheme`.
    """
    troubles: list[str] = []
    settings = {"base_url": url, "viewport": WIDE, **context}
    opened = await (await _browser()).new_context(**settings)
    try:
        page = await opened.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield page
    finally:
        await opened.close()
    assert not troubles


async def follow(page: Page, link: Locator) -> None:
    """Click what leads to another page, and be there: a click alone returns while the old one is shown."""
    async with page.expect_navigation():
        await link.click()


async def assert_usable(page: Page) -> None:
    """Axe finds nothing serious, and nothing is wider than the window."""
    results = await Axe().run(page)
    serious = [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in results.response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
    assert not serious, page.url
    assert not await page.evaluate("document.documentElement.scrollWidth > window.innerWidth"), page.url


async def drop_files(page: Page, files: Mapping[str, bytes]) -> None:
    """Drop images, by their names, on the form that asks a model."""
    sent = [{"name": name, "content": base64.b64encode(data).decode()} for name, data in files.items()]
    await page.locator("form[data-ask]").evaluate(_DROPS, sent)


async def once(page: Page, path: str, **answer: Any) -> None:
    """Something answers the next request for a path in place of the service."""
    await page.route(path, lambda route: route.fulfill(**answer), times=1)


async def asked(page: Page, path: str, times: int = 2) -> None:
    """The page has asked for it so often from now on; what came before the last time is in the page."""
    for _ in range(times):
        async with page.expect_response(path):
            pass
