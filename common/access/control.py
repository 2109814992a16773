"""What a service needs to know who asks, and how much they may ask for: one object for handlers."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from common.access.authenticators import Authenticator
from common.access.limits import Limits
from common.access.sessions import Sessions
from common.access.tokens import Tokens
from common.auth import Principal


@dataclass(frozen=True)
class AccessControl:
    """How principals are found, and what they have had."""

    authenticator: Authenticator
    tokens: Tokens
    sessions: Sessions
    limits: Limits | None = None
    """None: there are none."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Requests that were refused since the start, by reason: for `/metrics`."""

    async def count(self, principal: Principal, size_bytes: int) -> None:
        """Count a request of somebody. Raises TooManyRequests."""
        if self.limits is not None:
            await self.limits.check(_who(principal), size_bytes)

    async def count_report(self, application_execution_id: str, size_bytes: int) -> None:
        """Count a report of an execution, whoever sends it: one's flood takes nothing from another.

        Raises:
            TooManyRequests: It reports too much.
        """
        if self.limits is not None:
            await self.limits.check(f"execution/{application_execution_id[:100]}", size_bytes)

    @asynccontextmanager
    async def submitting(self, principal: Principal) -> AsyncIterator[None]:
        """While a submission of somebody is worked on. Raises TooManyRequests."""
        if self.limits is None:
            yield
            return
        async with self.limits.submitting(_who(principal)):
            yield


def _who(principal: Principal) -> str:
    return f"name/{principal.name}" if principal.is_known else f"address/{principal.name}"
