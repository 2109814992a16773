"""How much one principal may ask for in a minute, so that it does not take from others.

Windows slide: what was asked for in the minute before counts as far as it lies within the last sixty
seconds. Every service counts for itself.
"""

import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from common.errors import ServiceError

_MINUTE_SECONDS = 60
_BUSY_SECONDS = 2
_BYTES = 1024
"""Of a unit that is counted."""


class TooManyRequests(ServiceError):
    """Somebody asks for more than their share; later it may be granted."""

    status, title = 429, "Too many requests"

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)})


@dataclass(frozen=True)
class Shares:
    """What each may have; see the settings of the same names."""

    requests_per_minute: int
    bytes_per_minute: int
    concurrent_submissions: int
    wrong_tokens_per_minute: int


class Limits:
    """Counts what principals, application executions and addresses have asked for."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(shares.requests_per_minute, namespace="requests")
        self._kibibytes = RateLimitItemPerMinute(
            math.ceil(shares.bytes_per_minute / _BYTES), namespace="bytes"
        )
        self._wrong_tokens = RateLimitItemPerMinute(shares.wrong_tokens_per_minute, namespace="wrong")
        self._submitting: Counter[str] = Counter()

    async def check(self, who: str, size_bytes: int) -> None:
        """Count a request and its body. Raises TooManyRequests."""
        if not await self._limiter.hit(self._requests, who):
            raise TooManyRequests(
                f"More than {self._shares.requests_per_minute} requests in a minute (REQUESTS_PER_MINUTE).",
                retry_after_seconds=await self._seconds(self._requests, who),
            )
        cost = math.ceil(size_bytes / _BYTES)
        if cost and not await self._limiter.hit(self._kibibytes, who, cost=cost):
            raise TooManyRequests(
                f"More than {self._shares.bytes_per_minute} bytes in a minute (BYTES_PER_MINUTE).",
                retry_after_seconds=await self._seconds(self._kibibytes, who),
            )

    @asynccontextmanager
    async def submitting(self, who: str) -> AsyncIterator[None]:
        """While a submission is worked on. Raises TooManyRequests where too many are."""
        if self._submitting[who] >= self._shares.concurrent_submissions:
            raise TooManyRequests(
                f"{self._submitting[who]} submissions are being worked on: wait for their answers"
                " (CONCURRENT_SUBMISSIONS).",
                retry_after_seconds=_BUSY_SECONDS,
            )
        self._submitting[who] += 1
        try:
            yield
        finally:
            self._submitting[who] -= 1
            if not self._submitting[who]:
                del self._submitting[who]

    async def check_wrong_tokens(self, address: str) -> None:
        """Raises TooManyRequests where too many wrong tokens came from there."""
        if not await self._limiter.test(self._wrong_tokens, address):
            raise TooManyRequests(
                "Too many tokens from this address were wrong: wait before showing another one.",
                retry_after_seconds=await self._seconds(self._wrong_tokens, address),
            )

    async def count_wrong_token(self, address: str) -> None:
        """Count one that came from there."""
        await self._limiter.hit(self._wrong_tokens, address)

    async def _seconds(self, item: RateLimitItemPerMinute, who: str) -> int:
        stats = await self._limiter.get_window_stats(item, who)
        return min(max(math.ceil(stats.reset_time - time.time()), 1), _MINUTE_SECONDS)
