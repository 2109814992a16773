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

_ABANDONED_AFTER = 5
"""So many times as long nobody may have used what others then end."""

_KEPT = timedelta(days=30)
"""That it is known of a deployment that it was ours, for a cluster at which nobody looks meanwhile."""

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
        said = {"owner": self._owner, "used_until": until, "expires_at": until + _KEPT}
        changes = [
            UpdateOne(
                {"_id": f"{deployment} {self._owner}"},
                {"$set": {"deployment": deployment, **said}},
                upsert=True,
            )
            for deployment in deployments
        ]
        if changes:
            await self._stored.bulk_write(changes, ordered=False)

    async def give_up(self, deployment: str) -> bool:
        """Say that it is used here no more; whether nobody else uses it. Raises PyMongoError."""
        await self._stored.delete_one({"_id": f"{deployment} {self._owner}"})
        return not await self.is_used(deployment)

    async def is_used(self, deployment: str) -> bool:
        """Whether anybody has a lease of it. Raises PyMongoError."""
        leases = {"deployment": deployment, "used_until": {"$gt": utc_now()}}
        return await self._stored.find_one(leases, {"_id": 1}) is not None

    async def abandoned(self) -> list[str]:
        """What was used once, and has not been for long: its services have died. Raises PyMongoError."""
        before = utc_now() - timedelta(seconds=_ABANDONED_AFTER * self.seconds)
        last: list[dict[str, Any]] = [
            {"$group": {"_id": "$deployment", "used_until": {"$max": "$used_until"}}},
            {"$match": {"used_until": {"$lt": before}}},
        ]
        return [each["_id"] async for each in await self._stored.aggregate(last)]

    async def forget(self, deployment: str) -> None:
        """It is gone: leases that have run out say nothing any more. Raises PyMongoError."""
        await self._stored.delete_many({"deployment": deployment, "used_until": {"$lt": utc_now()}})
