"""Shares of principals: what is too much is refused with a time, and takes nothing from others."""

import asyncio

import pytest

from common.access.limits import Limits, Shares, TooManyRequests


def limits(**changes: int) -> Limits:
    shares = {
        "requests_per_minute": 5,
        "bytes_per_minute": 10 * 1024,
        "concurrent_submissions": 2,
        "wrong_tokens_per_minute": 3,
    }
    return Limits(Shares(**{**shares, **changes}))


async def granted(each: Limits, who: str, size_bytes: int = 0, times: int = 20) -> int:
    """How many of so many requests are."""
    answers = [each.check(who, size_bytes) for _ in range(times)]
    refusals = [await asyncio.gather(answer, return_exceptions=True) for answer in answers]
    seconds = [int(refusal.headers["Retry-After"]) for [refusal] in refusals if refusal is not None]  # type: ignore[union-attr]
    assert all(1 <= each <= 60 for each in seconds)
    return times - len(seconds)


async def test_requests_and_bytes() -> None:
    each = limits()
    assert await granted(each, "ada") == 5
    assert await granted(each, "bob") == 5
    by_bytes = limits(requests_per_minute=1000)
    assert await granted(by_bytes, "ada", 4 * 1024) == 2
    assert await granted(by_bytes, "ada", 1024) == 2
    assert await granted(by_bytes, "bob", 1024) == 10


async def test_submissions_at_once() -> None:
    each = limits()
    go_on = asyncio.Event()

    async def submit(who: str) -> None:
        async with each.submitting(who):
            await go_on.wait()

    first = [asyncio.create_task(submit("ada")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests, match="CONCURRENT_SUBMISSIONS"):
        await submit("ada")
    others = asyncio.create_task(submit("bob"))
    go_on.set()
    await asyncio.gather(*first, others)
    await submit("ada")


async def test_wrong_tokens_of_an_address() -> None:
    each = limits()
    for _ in range(3):
        await each.check_wrong_tokens("10.0.0.1")
        await each.count_wrong_token("10.0.0.1")
    with pytest.raises(TooManyRequests):
        await each.check_wrong_tokens("10.0.0.1")
    await each.check_wrong_tokens("10.0.0.2")
