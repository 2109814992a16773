"""Who asks, and what they may.

A token stands for a role. A role that no token stands for belongs to everybody: without any tokens
everybody may do everything.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from pydantic import SecretStr

from common.errors import Forbidden, Unauthorized


class Permission(StrEnum):
    """What a request may need; every route needs one."""

    READ = "read"
    OPERATE = "operate"
    """To submit, kill, train and promote."""
    REPORT = "report"
    """To say what happens in an application."""


class Role(Enum):
    """What somebody is to the service: what such people are called, and what they may do."""

    OPERATOR = "operators", frozenset({Permission.READ, Permission.OPERATE})
    LISTENER = "listeners", frozenset({Permission.REPORT})

    def __init__(self, in_words: str, permissions: frozenset[Permission]) -> None:
        self.in_words = in_words
        self.permissions = permissions


@dataclass(frozen=True)
class Principal:
    """Somebody who asks for something."""

    name: str
    """As it calls itself, otherwise the address that it asks from: it says who is to be asked later, and
    proves nothing."""
    roles: frozenset[Role]
    is_known: bool = False
    """Whether it has shown a token."""

    def may(self, permission: Permission) -> bool:
        return any(permission in role.permissions for role in self.roles)


class Credentials:
    """The tokens that the service knows, each of one role; an empty one is none."""

    def __init__(self, tokens: Mapping[Role, SecretStr]) -> None:
        self._tokens = {role: token for role, token in tokens.items() if token.get_secret_value()}
        self._of_everybody = frozenset(role for role in Role if role not in self._tokens)

    def identify(self, shown: str | None, name: str) -> Principal:
        """Who shows this token, or none (None); a wrong token is worth as much as none."""
        own = frozenset(role for role, token in self._tokens.items() if _is_same(shown or "", token))
        return Principal(name, self._of_everybody | own, is_known=bool(own))

    def check(self, principal: Principal, permission: Permission, shown: str | None) -> None:
        """Return if the principal may do this.

        Raises:
            Unauthorized: It has shown no token, or a wrong one.
            Forbidden: Its token stands for a role that may not.
        """
        if principal.may(permission):
            return
        whose = " or ".join(role.in_words for role in Role if permission in role.permissions)
        if principal.is_known:
            raise Forbidden(f"The token is not of one of those who may do this: {whose}.")
        if shown is None:
            raise Unauthorized(f"This service wants a token from {whose} (Authorization: Bearer …).")
        raise Unauthorized(f"The token is not the one that this service wants from {whose}.")


def _is_same(shown: str, token: SecretStr) -> bool:
    """In a time that says nothing about where they differ."""
    return hmac.compare_digest(shown.encode(), token.get_secret_value().encode())
