"""Who uses what is loaded on a cluster that services share: the last one to leave ends it."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from pymongo import AsyncMongoClient, UpdateOne

from common.mongo.collection import Index
from common.mongo.document import utc_now
from common.mongo.set_up import create_index
from common.mongo.transactions import DURABLE

LEASE_SECONDS = 60.0
"""After which a service that has not renewed its lease is taken to be gone."""

_EXPIRY = Index("expiry", ["expires_at"], {"expireAfterSeconds": 0})


class Leases:
    """Of one service.

    Args:
        owner: Identity of the service (`common.processes.guarded.service_identity`).
        seconds: After which a lease that is not renewed is no more.
    """

    def __init__(
        self,
        client: AsyncMongoClient[dict[str, Any]],
        database: str,
        owner: str,
        *,
        seconds: float = LEASE_SECONDS,
    ) -> None:
        self._stored = client.get_database(database, write_concern=DURABLE)["serving_lease"]
        self._owner = owner
        self.seconds = seconds

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        await create_index(self._stored, _EXPIRY.keys, name=_EXPIRY.name, **_EXPIRY.options)

    async def renew(self, deployments: Iterable[str]) -> None:
        """Say that these are used here. Raises PyMongoError."""
        until = utc_now() + timedelta(seconds=self.seconds)
        changes = [
            UpdateOne(
                {"_id": f"{deployment} {self._owner}"},
                {"$set": {"deployment": deployment, "owner": self._owner, "expires_at": until}},
                upsert=True,
            )
            for deployment in deployments
        ]
        if changes:
            await self._stored.bulk_write(changes, ordered=False)

    async def give_up(self, deployment: str) -> bool:
        """Say that it is used here no more; whether nobody else uses it. Raises PyMongoError."""
        await self._stored.delete_one({"_id": f"{deployment} {self._owner}"})
        others = {"deployment": deployment, "expires_at": {"$gt": utc_now()}}
        return await self._stored.find_one(others, {"_id": 1}) is None
