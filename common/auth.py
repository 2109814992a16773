"""Who asks, and what they may: permissions, the roles that hold them, and a request's principal."""

from dataclasses import dataclass
from enum import StrEnum

from common.errors import Forbidden, Unauthorized


class Permission(StrEnum):
    """What a request may need; every route names one."""

    READ = "read"
    """To look at runs, models and trainings."""
    SUBMIT = "submit"
    """To submit and to ask before, to keep schedules and start trainings, and to end one's own."""
    OPERATE = "operate"
    """To end and change what is others', and to decide which model serves."""
    ADMINISTER = "administer"
    """To make and revoke tokens."""
    REPORT = "report"
    """To say what happens in an application."""


class Role(StrEnum):
    """What a token makes of those who show it; but for the listener, each includes the one before."""

    READER = "reader"
    SUBMITTER = "submitter"
    OPERATOR = "operator"
    ADMIN = "admin"
    LISTENER = "listener"

    @property
    def permissions(self) -> frozenset[Permission]:
        """What it may."""
        if self is Role.LISTENER:
            return frozenset({Permission.REPORT})
        ladder = [Permission.READ, Permission.SUBMIT, Permission.OPERATE, Permission.ADMINISTER]
        return frozenset(ladder[: 1 + list(Role).index(self)])


@dataclass(frozen=True)
class Principal:
    """Somebody who asks for something."""

    name: str
    """Of the token; where none was shown, what they call themselves, or the address that they ask from: that
    says who is to be asked later, and proves nothing."""
    permissions: frozenset[Permission]
    role: Role | None = None
    """None: a token was not shown, or not needed."""
    token_id: str | None = None
    """None: no stored token, but one from the settings, or none."""
    application_execution_id: str | None = None
    """The only one that it may report of; None: of any."""

    @property
    def is_known(self) -> bool:
        """Whether it has shown a token."""
        return self.role is not None

    def may(self, permission: Permission) -> bool:
        """Whether it may do this at all; `check_owner` and `check_reports_of` say whether to whom."""
        return permission in self.permissions

    def check(self, permission: Permission) -> None:
        """Return if it may do this.

        Raises:
            Unauthorized: It has shown no token that counts.
            Forbidden: Its token stands for a role that may not.
        """
        if self.may(permission):
            return
        roles = " or ".join(role for role in Role if permission in role.permissions)
        if self.role is None:
            raise Unauthorized(
                f"This service wants a token here, of the role {roles} (Authorization: Bearer …)."
            )
        raise Forbidden(
            f"This is for the role {roles}, and the token of {self.name!r} is of a {self.role}."
            " An admin makes tokens: POST /access/tokens."
        )

    def check_owner(self, owner: str | None, what: str) -> None:
        """Raises Forbidden where something is somebody else's, and only an operator may change it.

        Args:
            owner: Who asked for it; None: nobody knows.
            what: As a sentence begins with it.
        """
        if self.may(Permission.OPERATE) or (self.is_known and owner == self.name):
            return
        whose = f"belongs to {owner!r}" if owner else "belongs to nobody that is known"
        raise Forbidden(f"{what} {whose}, not to {self.name!r}; an operator may do this.")

    def check_reports_of(self, application_execution_id: str) -> None:
        """Raises Forbidden where its token is for another application execution."""
        if self.application_execution_id not in (None, application_execution_id):
            raise Forbidden(
                f"This listener's token is for the application execution {self.application_execution_id}"
                f" alone, not for {application_execution_id[:100]!r}."
            )


EVERYTHING = frozenset(Permission)
