"""A service whose access is by tokens, with a token of every role."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from pydantic import SecretStr

from common.access.repository import AccessTokenRepository
from common.access.tokens import Tokens
from common.auth import Role
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.settings.settings import Settings
from tests.support.services import service_in_process

ADMIN_TOKEN = "a-token-of-the-first-admin"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Guarded:
    """The service, and what it takes to be asked by somebody."""

    def __init__(self, client: httpx.AsyncClient, mongo: Client) -> None:
        self.client = client
        database: str = client.database  # type: ignore[attr-defined]
        self.executions = ExecutionRepository(mongo, database)
        self.tokens = Tokens(AccessTokenRepository(mongo, database), self.executions.ended_at)

    async def new(self, name: str, role: Role, **fields: object) -> str:
        """The text of a new token."""
        made = await self.client.post(
            "/access/tokens", json={"name": name, "role": role, **fields}, headers=bearer(ADMIN_TOKEN)
        )
        assert made.status_code == 201, made.text
        return str(made.json()["token"])

    async def of(self, token: str | None) -> httpx.AsyncClient:
        """The same client for another principal."""
        headers = bearer(token) if token else {}
        return httpx.AsyncClient(
            transport=self.client._transport, base_url=self.client.base_url, headers=headers, timeout=60
        )


@asynccontextmanager
async def guarded_service(
    mongo_uri: str, mongo: Client, data_dir: Path, configure: Callable[[Settings], None] = lambda _: None
) -> AsyncIterator[Guarded]:
    """A service in this process that wants tokens."""

    def by_tokens(settings: Settings) -> None:
        settings.access.admin_token = SecretStr(ADMIN_TOKEN)
        configure(settings)

    async with service_in_process(mongo_uri, data_dir, configure=by_tokens) as client:
        yield Guarded(client, mongo)
