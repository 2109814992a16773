"""Documents of a collection, counted by their state."""

from typing import Any

from pymongo.asynchronous.collection import AsyncCollection


async def count_by_state(collection: AsyncCollection[dict[str, Any]]) -> dict[str, int]:
    """State to number of documents; those without one are `NEW`."""
    found = await collection.aggregate([{"$group": {"_id": "$state", "count": {"$sum": 1}}}])
    return {str(group["_id"] or "NEW"): group["count"] async for group in found}
