"""What tests of the whole share: a browser, which ends with the last of them."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.browser import close_browser


@pytest_asyncio.fixture(autouse=True, scope="session")
async def _browser_ends() -> AsyncIterator[None]:
    yield
    await close_browser()
