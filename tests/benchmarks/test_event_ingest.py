"""What `benchmarks/event_ingest.py` compares the service with, on a real MongoDB."""

from benchmarks.event_ingest import JOBS, Bench
from common.mongo.types import Client


async def test_all_that_bare_pymongo_stores_counts_as_starts_count_with_the_service(mongo: Client) -> None:
    await mongo.drop_database("bare")
    rate = await Bench(mongo, 0, 0.5).bare(2)
    stored = mongo["bare"]
    jobs, applications = [await stored[name].count_documents({}) for name in ("jobs", "applications")]
    await mongo.drop_database("bare")
    assert rate.reports == jobs + applications
    assert applications >= 2
    assert jobs <= JOBS * applications
