"""What every command has: which service it asks, and options that mean the same everywhere."""

from dataclasses import dataclass
from typing import Annotated

import typer

from app.cli.profiles import Connection, connection
from app.client.client import Client

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Limit = Annotated[int, typer.Option(min=1, help="Print at most so many, newest first.")]
TIMEOUT_SECONDS = 60.0


@dataclass
class Session:
    """What was said before the command; resolved when something is asked."""

    url: str | None = None
    profile: str | None = None

    def connection(self) -> Connection:
        """Raises CliError."""
        return connection(self.url, self.profile)

    def client(self, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Client:
        """A client of the service, to be closed."""
        where = self.connection()
        return Client(where.url, token=where.token, timeout_seconds=timeout_seconds)


def session(context: typer.Context) -> Session:
    found = context.find_object(Session)
    assert found is not None, "the root command makes one"
    return found
