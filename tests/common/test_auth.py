"""Tokens, roles, and what they permit."""

import pytest
from pydantic import SecretStr

from common.auth import Credentials, Permission, Role
from common.errors import Forbidden, Unauthorized

LISTENERS, OPERATORS = SecretStr("a-token-for-listeners"), SecretStr("another-for-people")

EVERYTHING = Credentials({})
"""Where no token is known."""
REPORTS_GUARDED = Credentials({Role.LISTENER: LISTENERS, Role.OPERATOR: SecretStr("")})
ALL_GUARDED = Credentials(
    {role: SecretStr(role.in_words) for role in Role} | {Role.LISTENER: LISTENERS, Role.OPERATOR: OPERATORS}
)


def permitted(credentials: Credentials, shown: str | None) -> set[Permission]:
    principal = credentials.identify(shown, "ada")
    return {permission for permission in Permission if principal.may(permission)}


@pytest.mark.parametrize("shown", [None, "", "another", LISTENERS.get_secret_value()])
def test_without_tokens_everybody_may_do_everything(shown: str | None) -> None:
    assert permitted(EVERYTHING, shown) == set(Permission)
    assert EVERYTHING.identify(shown, "ada").is_known is False


def test_a_token_keeps_a_role_to_those_who_show_it() -> None:
    people = {Permission.READ, Permission.OPERATE}
    assert permitted(REPORTS_GUARDED, None) == permitted(REPORTS_GUARDED, "é") == people
    assert permitted(REPORTS_GUARDED, LISTENERS.get_secret_value()) == set(Permission)
    assert permitted(ALL_GUARDED, None) == set()
    assert permitted(ALL_GUARDED, LISTENERS.get_secret_value()) == {Permission.REPORT}
    assert permitted(ALL_GUARDED, OPERATORS.get_secret_value()) == people


@pytest.mark.parametrize(
    ("shown", "error", "told"),
    [
        (None, Unauthorized, r"This service wants a token from listeners \(Authorization: Bearer …\)\."),
        ("x", Unauthorized, r"The token is not the one that this service wants from listeners\."),
        (OPERATORS.get_secret_value(), Forbidden, r"not of one of those who may do this: listeners\."),
    ],
)
def test_who_is_refused_is_told_why(shown: str | None, error: type[Exception], told: str) -> None:
    principal = ALL_GUARDED.identify(shown, "ada")
    with pytest.raises(error, match=told):
        ALL_GUARDED.check(principal, Permission.REPORT, shown)


def test_every_permission_is_somebodys() -> None:
    assert set(Permission) == set().union(*(role.permissions for role in Role))


def test_no_token_is_shown_by_accident() -> None:
    assert LISTENERS.get_secret_value() not in repr(vars(ALL_GUARDED))
