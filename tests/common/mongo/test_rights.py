"""What a user of MongoDB lacks, and when that matters."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from common.errors import StartError
from common.mongo.client import mongo_client
from common.mongo.rights import NEEDED_RIGHTS, lacking_of
from common.mongo.types import Client
from common.settings.mongo import MongoSettings
from tests.support.mongodb_users import PASSWORD, mongod_with_users

ALL = list(NEEDED_RIGHTS)


@pytest.mark.parametrize(
    ("resource", "actions", "lacking"),
    [
        ({"db": "enel", "collection": ""}, ALL, []),
        ({"db": "", "collection": ""}, [*ALL, "dropDatabase"], []),
        ({"anyResource": True}, ALL, []),
        ({"db": "enel", "collection": "model"}, ALL, []),
        ({"db": "other", "collection": ""}, ALL, ALL),
        ({"cluster": True}, ALL, ALL),
        ({"db": "enel", "collection": ""}, ["find", "insert", "update"], ["createIndex", "remove"]),
    ],
)
def test_privileges_as_mongodb_tells_them(
    resource: dict[str, Any], actions: list[str], lacking: list[str]
) -> None:
    assert lacking_of([{"resource": resource, "actions": actions}], "enel") == lacking


def of_user(name: str, address: str, database: str) -> MongoSettings:
    return MongoSettings(
        mongodb_endpoint=address,
        mongodb_username=name,
        mongodb_password=SecretStr(PASSWORD),
        mongodb_database=database,
    )


async def test_the_start_names_what_is_missing(tmp_path: Path) -> None:
    async with mongod_with_users(tmp_path / "mongodb", "enel", {"reader": "read"}) as address:
        with pytest.raises(StartError, match=r"MONGODB_DATABASE: createIndex, insert, remove, update\. "):
            async with mongo_client(of_user("reader", address, "enel"), tmp_path):
                pass


async def test_where_access_is_not_controlled_a_user_needs_no_rights(
    mongo: Client, mongo_uri: str, database: str, tmp_path: Path
) -> None:
    await mongo.admin.command("createUser", database, pwd=PASSWORD, roles=[{"role": "read", "db": database}])
    try:
        async with mongo_client(of_user(database, mongo_uri, database), tmp_path) as client:
            await client[database]["application_execution"].create_index("start_time")
    finally:
        await mongo.admin.command("dropUser", database)
        await mongo.drop_database(database)
