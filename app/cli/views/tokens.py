"""Tokens: who may do what; their texts are shown once."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.console import facts, table
from app.cli.units import moment
from app.client.answers import NewToken, Token


def tokens_view(tokens: Sequence[Token]) -> RenderableType:
    if not tokens:
        return Text("No tokens. `enel tokens create NAME --role submitter` makes one.")
    columns = ("Id", "Name", "Role", "Created", "Expires", "Revoked", "Last used")
    rows = (
        (
            each["id"],
            each["name"],
            each["role"],
            moment(each["created_at"]),
            moment(each["expires_at"]),
            moment(each["revoked_at"]),
            moment(each["last_used_at"]),
        )
        for each in tokens
    )
    return table(columns, rows)


def new_token_view(created: NewToken) -> RenderableType:
    head = facts(
        (
            ("Id", created["id"]),
            ("Name", created["name"]),
            ("Role", created["role"]),
            ("Expires", moment(created["expires_at"])),
            ("Token", created["token"]),
        )
    )
    return Group(head, Text("It is shown this once: keep it, in ENEL_TOKEN or a profile."))
