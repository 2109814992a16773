"""Tokens: made, shown once, looked up at every request, revoked."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from pymongo.errors import PyMongoError

from common.access.documents import AccessToken, StoredToken
from common.access.repository import AccessTokenRepository
from common.access.text import TokenText
from common.auth import Role
from common.clocks import monotonic_seconds
from common.mongo.document import utc_now

logger = logging.getLogger(__name__)

CACHE_SECONDS = 3.0
"""How long a token that was revoked by another service may still count here."""

_MOST_CACHED = 10_000

_USED_EVERY = timedelta(minutes=1)

_LATE_REPORTS = timedelta(minutes=10)
"""For which a listener's token outlives its application: events may arrive late."""

EndedAt = Callable[[str], Awaitable[datetime | None]]
"""When an application execution ended; None: it has not. Raises NotFound where it is unknown."""


class Tokens:
    """The tokens of a service, and for some seconds what it has read of them."""

    def __init__(
        self, repository: AccessTokenRepository, ended_at: EndedAt, *, needs_admin: bool = True
    ) -> None:
        """`needs_admin`: whether an admin's token has to be left, since the settings name none."""
        self.stored = repository
        self._ended_at = ended_at
        self._needs_admin = needs_admin
        self._cache: dict[str, tuple[float, StoredToken]] = {}
        self._noting: set[asyncio.Task[None]] = set()

    async def issue(
        self, name: str, role: Role, by: str | None, expires_at: datetime | None = None
    ) -> tuple[AccessToken, TokenText]:
        """A new token; its text is not kept. Raises TokenNameInUse."""
        return await self._issue(
            StoredToken(id="", name=name, held_name=name, role=role, created_by=by, expires_at=expires_at)
        )

    async def issue_for_listener(self, application_execution_id: str) -> TokenText:
        """A token with which a driver reports of this execution alone."""
        token = StoredToken(
            id="",
            name=f"execution/{application_execution_id}",
            role=Role.LISTENER,
            application_execution_id=application_execution_id,
        )
        _, text = await self._issue(token)
        return text

    async def find(self, shown: str) -> AccessToken | None:
        """The token that this is the text of; None where it does not count."""
        text = TokenText.parse(shown)
        if text is None:
            return None
        token = await self._read(text.id)
        if token is None or not text.is_of(token.secret_sha256):
            return None
        return await self._if_live(token)

    async def find_by_id(self, token_id: str) -> AccessToken | None:
        """For who has shown the text before; None where it does not count any more."""
        token = await self._read(token_id)
        return None if token is None else await self._if_live(token)

    async def revoke(self, token_id: str, by: str) -> AccessToken:
        """Raises TokenNotFound or LastAdminToken."""
        token = await self.stored.revoke(token_id, by, needs_admin=self._needs_admin)
        self._cache.pop(token_id, None)
        logger.info("Token %s (%s, %s) was revoked by %s", token.id, token.name, token.role, by)
        return token

    async def collect_ended(self) -> None:
        """Delete listeners' tokens whose applications have ended some time ago."""
        ended = [each for each in await self.stored.executions_with_tokens() if await self._is_over(each)]
        if ended:
            await self.stored.delete_of(ended)

    async def aclose(self) -> None:
        """Wait for nothing that is only noted."""
        for task in self._noting:
            task.cancel()
        await asyncio.gather(*self._noting, return_exceptions=True)

    async def _issue(self, token: StoredToken) -> tuple[AccessToken, TokenText]:
        text = TokenText.new()
        token = token.model_copy(update={"id": text.id, "secret_sha256": text.sha256})
        await self.stored.insert(token)
        if token.role is not Role.LISTENER:
            logger.info(
                "Token %s (%s, %s) was made by %s", token.id, token.name, token.role, token.created_by
            )
        return token, text

    async def _read(self, token_id: str) -> StoredToken | None:
        now = monotonic_seconds()
        if (cached := self._cache.get(token_id)) and now < cached[0]:
            return cached[1]
        token = await self.stored.find(token_id)
        if token is None:
            self._cache.pop(token_id, None)  # what is not there is not remembered: it may be made elsewhere
            return None
        if len(self._cache) >= _MOST_CACHED:
            self._cache.clear()
        self._cache[token_id] = (now + CACHE_SECONDS, token)
        return token

    async def _if_live(self, token: StoredToken) -> AccessToken | None:
        now = utc_now()
        if not token.is_live(now):
            return None
        execution_id = token.application_execution_id
        if execution_id is not None and await self._is_over(execution_id):
            return None
        if token.last_used_at is None or now - token.last_used_at >= _USED_EVERY:
            token.last_used_at = now  # also of the cached one: it is not noted twice
            self._note(token.id, now)
        return token

    async def _is_over(self, application_execution_id: str) -> bool:
        ended_at = await self._ended_at(application_execution_id)
        return ended_at is not None and utc_now() - ended_at > _LATE_REPORTS

    def _note(self, token_id: str, at: datetime) -> None:
        async def note() -> None:
            try:
                await self.stored.used(token_id, at)
            except PyMongoError as error:
                logger.debug("When %s was used is not stored: %s", token_id, type(error).__name__)

        task = asyncio.create_task(note())
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)
