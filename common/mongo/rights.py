"""What the service's user has to be allowed in its database, and whether it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.errors import OperationFailure

from common.mongo.types import Client

NEEDED_RIGHTS = ("createIndex", "find", "insert", "remove", "update")
"""Actions of MongoDB; readWrite has them all."""

_UNAUTHORIZED = 13


async def lacking_rights(client: Client, database: str) -> list[str]:
    """Those of NEEDED_RIGHTS that the client's user has on no collection of the database.

    None where access is not controlled, or where MongoDB does not say.

    Raises:
        PyMongoError: It does not answer.
    """
    try:
        status = await client[database].command("connectionStatus", showPrivileges=True)
    except OperationFailure:
        return []
    said = status.get("authInfo", {})
    if not said.get("authenticatedUsers"):
        return []
    lacking = lacking_of(said.get("authenticatedUserPrivileges", ()), database)
    return lacking if lacking and await _is_controlled(client) else []


def lacking_of(privileges: Sequence[Mapping[str, Any]], database: str) -> list[str]:
    """The same, by privileges as MongoDB tells them."""
    allowed: set[str] = set()
    for privilege in privileges:
        resource = privilege.get("resource", {})
        # One of a single collection counts: which ones there are is not for this module to know.
        if resource.get("anyResource") or resource.get("db") in ("", database):
            allowed.update(privilege.get("actions", ()))
    return [right for right in NEEDED_RIGHTS if right not in allowed]


async def _is_controlled(client: Client) -> bool:
    """Whether a right that is missing is missed: where access is not controlled, users may log in as well."""
    try:
        await client.admin.command("getCmdLineOpts")
    except OperationFailure as error:
        return error.code == _UNAUTHORIZED
    return False
