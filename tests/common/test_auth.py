"""Roles, what they may, and what those are told who may not."""

import itertools

import pytest

from common.auth import Permission, Principal, Role
from common.errors import Forbidden, Unauthorized


def principal(role: Role | None, name: str = "ada") -> Principal:
    return Principal(name, role.permissions if role else frozenset(), role)


def test_each_role_of_people_includes_the_one_before() -> None:
    people = [Role.READER, Role.SUBMITTER, Role.OPERATOR, Role.ADMIN]
    for lesser, greater in itertools.pairwise(people):
        assert lesser.permissions < greater.permissions
    assert Role.READER.permissions == {Permission.READ}
    assert Role.LISTENER.permissions == {Permission.REPORT}
    assert set(Permission) == set().union(*(role.permissions for role in Role))


@pytest.mark.parametrize(
    ("role", "error", "told"),
    [
        (
            None,
            Unauthorized,
            r"wants a token here, of the role operator or admin \(Authorization: Bearer …\)\.",
        ),
        (
            Role.READER,
            Forbidden,
            r"This is for the role operator or admin, and the token of 'ada' is of a reader\.",
        ),
    ],
)
def test_who_is_refused_is_told_whose_token_it_takes(
    role: Role | None, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        principal(role).check(Permission.OPERATE)


def test_what_is_others_is_for_operators() -> None:
    principal(Role.SUBMITTER).check_owner("ada", "The schedule")
    principal(Role.OPERATOR).check_owner("bob", "The schedule")
    for owner, whose in (("bob", "belongs to 'bob'"), (None, "belongs to nobody that is known")):
        with pytest.raises(Forbidden, match=rf"^The schedule {whose}, not to 'ada'; an operator may"):
            principal(Role.SUBMITTER).check_owner(owner, "The schedule")


def test_nobody_owns_what_carries_the_name_that_they_only_claim() -> None:
    claimed = Principal("ada", Role.SUBMITTER.permissions)
    with pytest.raises(Forbidden):
        claimed.check_owner("ada", "The schedule")


def test_a_listener_reports_of_its_own_execution() -> None:
    listener = Principal("x", Role.LISTENER.permissions, Role.LISTENER, application_execution_id="1")
    listener.check_reports_of("1")
    principal(Role.LISTENER).check_reports_of("2")
    with pytest.raises(Forbidden, match="for the application execution 1 alone"):
        listener.check_reports_of("2")
