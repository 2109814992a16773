"""Who may do what: tokens, sessions, and the first token of all."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from app.wiring.storage import Storage
from common.access.authenticators import Authenticator, OpenAccess, TokenAccess
from common.access.control import AccessControl
from common.access.limits import Limits, Shares
from common.access.repository import AccessTokenRepository, TokenNameInUse
from common.access.sessions import Sessions
from common.access.tokens import Tokens
from common.auth import Role
from common.errors import StartError
from common.settings.settings import Settings
from submission.runners import TokenFor

FIRST_ADMIN = "first-admin"
"""Name of the token that is printed where there is none."""


@asynccontextmanager
async def open_access(settings: Settings, storage: Storage) -> AsyncIterator[AccessControl]:
    """With an admin's token, where access is by tokens.

    Raises:
        StartError: No setting says who may do what, or DATA_DIR cannot hold the key of sessions.
    """
    by_tokens = settings.access_by_tokens
    admin_token, callback_token = settings.access.admin_token, settings.submission.callback_token
    repository = AccessTokenRepository(storage.mongo, storage.database)
    storage.setting_up.begin_indexes(repository)
    has_admin_setting = bool(admin_token.get_secret_value())
    tokens = Tokens(repository, storage.executions.ended_at, needs_admin=not has_admin_setting)
    key = settings.access.session_secret
    if not key.get_secret_value():
        key = await asyncio.to_thread(_kept_key, storage.data_dir)
    sessions = Sessions(key, settings.access.session_seconds)
    authenticator: Authenticator = OpenAccess(callback_token)
    limits: Limits | None = None
    if by_tokens:
        limits = Limits(_shares(settings))
        authenticator = TokenAccess(tokens, sessions, limits, admin_token, callback_token)
        if not has_admin_setting:
            await storage.setting_up.done()  # of services that start together, one makes it
            await _print_first_admin(tokens)
    try:
        yield AccessControl(authenticator, tokens, sessions, limits)
    finally:
        await tokens.aclose()


def _shares(given: Settings) -> Shares:
    settings, workspaces = given.access, given.workspaces
    return Shares(
        requests_per_minute=settings.requests_per_minute,
        bytes_per_minute=max(
            settings.bytes_per_minute,
            given.server.max_body_bytes,
            workspaces.workspace_max_file_bytes,
            workspaces.workspace_max_upload_bytes,
        ),
        concurrent_submissions=settings.concurrent_submissions,
        wrong_tokens_per_minute=settings.wrong_tokens_per_minute,
    )


def driver_tokens(settings: Settings, access: AccessControl) -> TokenFor:
    """What makes a driver's token: one of its execution's own, or CALLBACK_TOKEN, where that does."""

    async def own(application_execution_id: str) -> str:
        return str(await access.tokens.issue_for_listener(application_execution_id))

    async def common(_: str) -> str:
        return settings.submission.callback_token.get_secret_value()

    return own if access.authenticator.by_tokens else common


async def _print_first_admin(tokens: Tokens) -> None:
    """Make and print an admin's token where none counts: nobody could make one otherwise."""
    if await tokens.stored.has_admin():
        return
    try:
        token, text = await tokens.issue(FIRST_ADMIN, Role.ADMIN, by=None)
    except TokenNameInUse:
        return  # another service has just done so
    # To whoever started it, and to no log: it is shown this once.
    print(  # noqa: T201
        f"The first token, of an admin, shown this once: {text}\n"
        f"Make others with it (POST /access/tokens), then revoke it (DELETE /access/tokens/{token.id}).",
        flush=True,
    )


def _kept_key(data_dir: Path) -> SecretStr:
    """The key of sessions: made once, readable by its owner alone."""
    path = data_dir / "session.key"
    try:
        if not path.exists() or not path.read_text():
            path.touch(mode=0o600)
            path.chmod(0o600)
            path.write_text(secrets.token_hex(32))
        return SecretStr(path.read_text())
    except (OSError, UnicodeError) as error:
        raise StartError(f"DATA_DIR: {path} cannot be read or written: {type(error).__name__}.") from error
