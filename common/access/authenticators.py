"""Who asks: found out from what a request shows, in one of two ways.

- *open*: everybody may do everything. Where CALLBACK_TOKEN is set, only those who show it may report.
- *by tokens*: whoever shows none may do nothing.
"""

import hashlib
import hmac
import logging
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from common.access.documents import AccessToken
from common.access.limits import Limits
from common.access.sessions import Sessions
from common.access.tokens import Tokens
from common.auth import EVERYTHING, Permission, Principal, Role
from common.errors import Unauthorized

logger = logging.getLogger(__name__)

ADMIN_NAME = "admin"
"""Of whoever shows ADMIN_TOKEN."""

LISTENERS_NAME = "listeners"
"""Of whoever shows CALLBACK_TOKEN."""

_MOST_REMEMBERED = 10_000
"""Hashes."""


@dataclass(frozen=True)
class Shown:
    """What a request shows of who sent it; None, or empty: nothing."""

    token: str | None = None
    session: str | None = None
    """A cookie's value."""
    called: str = ""
    """What they call themselves."""
    address: str = ""


class Authenticator(Protocol):
    """Finds out who asks."""

    by_tokens: bool
    """Whether those who show no token may do nothing."""

    async def identify(self, shown: Shown) -> Principal:
        """Who asks, which may be nobody that is known.

        Raises:
            Unauthorized: What was shown does not count.
        """
        ...


class OpenAccess:
    """Everybody may do everything."""

    by_tokens = False

    def __init__(self, callback_token: SecretStr) -> None:
        """`callback_token`: where there is one, only those who show it may report."""
        self._callback_token = callback_token

    async def identify(self, shown: Shown) -> Principal:
        """A wrong token is worth as much as none."""
        name = shown.called or shown.address
        if not self._callback_token.get_secret_value():
            return Principal(name, EVERYTHING)
        if is_same(shown.token or "", self._callback_token):
            return Principal(name, EVERYTHING)
        return Principal(name, EVERYTHING - {Permission.REPORT})


class TokenAccess:
    """Whoever shows no token may do nothing."""

    by_tokens = True

    def __init__(
        self,
        tokens: Tokens,
        sessions: Sessions,
        limits: Limits,
        admin_token: SecretStr,
        callback_token: SecretStr,
    ) -> None:
        self._tokens = tokens
        self._limits = limits
        self._good: set[str] = set()
        """Hashes of tokens that did count: who has such a one suffers from nobody else's wrong ones."""
        self._sessions = sessions
        self._admin_token = admin_token
        self._callback_token = callback_token

    async def identify(self, shown: Shown) -> Principal:
        """Whose token it is; without one, whose session."""
        if shown.token is not None:
            return await self._by_token(shown.token, shown.address)
        if shown.session is not None and (session := self._sessions.read(shown.session)):
            return await self._by_id(session.token_id, shown.address)
        return Principal(shown.address, frozenset())

    def session_id_of(self, principal: Principal) -> str:
        """What a session of this principal names; ADMIN_TOKEN is named by a part of its hash."""
        return principal.token_id or _setting_id(self._admin_token)

    async def _by_token(self, shown: str, address: str) -> Principal:
        digest = hashlib.sha256(shown.encode("utf-8", "replace")).hexdigest()
        if digest not in self._good:
            await self._limits.check_wrong_tokens(address)
        principal = await self._find(shown)
        if principal is None:
            self._good.discard(digest)
            await self._limits.count_wrong_token(address)
            logger.warning("A token that does not count was shown from %s", address)
            raise Unauthorized("The token is unknown, revoked or expired; an admin makes another one.")
        if len(self._good) >= _MOST_REMEMBERED:
            self._good.clear()
        self._good.add(digest)
        return principal

    async def _find(self, shown: str) -> Principal | None:
        if is_same(shown, self._admin_token):
            return _of_setting(ADMIN_NAME, Role.ADMIN)
        if is_same(shown, self._callback_token):
            return _of_setting(LISTENERS_NAME, Role.LISTENER)
        token = await self._tokens.find(shown)
        return None if token is None else _of_token(token)

    async def _by_id(self, token_id: str, address: str) -> Principal:
        if self._admin_token.get_secret_value() and hmac.compare_digest(
            token_id.encode(), _setting_id(self._admin_token).encode()
        ):
            return _of_setting(ADMIN_NAME, Role.ADMIN)
        token = await self._tokens.find_by_id(token_id)
        return Principal(address, frozenset()) if token is None else _of_token(token)


def is_same(shown: str, token: SecretStr) -> bool:
    """In a time that says nothing about where they differ; an empty token is nobody's."""
    value = token.get_secret_value()
    return bool(value) and hmac.compare_digest(shown.encode("utf-8", "replace"), value.encode())


def _of_setting(name: str, role: Role) -> Principal:
    return Principal(name, role.permissions, role)


def _of_token(token: AccessToken) -> Principal:
    return Principal(token.name, token.role.permissions, token.role, token.id, token.application_execution_id)


def _setting_id(token: SecretStr) -> str:
    """Another one for another value: sessions end when the setting is changed."""
    return f"setting/{hashlib.sha256(token.get_secret_value().encode()).hexdigest()[:16]}"
