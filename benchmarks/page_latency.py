"""How fast the pages answer with 10, 100, 1,000 and 10,000 applications of 50 jobs.

    python benchmarks/page_latency.py [--applications 10 100 1000 10000] [--jobs 50] [--requests 40]

Starts a service on a database of its own and stores made-up applications, of which one in twenty still
runs, each with its jobs and decisions. Then it asks for each page again and again, one request at a
time; times are those of a client, until the last byte. The bar is a ratio: with the most applications
no page is slower than with the second fewest by more than half. (Ten applications do not fill a page of
the list: what they take is shown, and says more of writing a row than of finding it.)
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from pymongo import AsyncMongoClient

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.client.process import service_process  # noqa: E402
from benchmarks.reporting import Bar, Section, bars_section, open_console, show  # noqa: E402
from common.executions.candidate import Candidate  # noqa: E402
from common.executions.documents import (  # noqa: E402
    ApplicationExecution,
    ApplicationState,
    JobExecution,
    ScalingDecision,
    StageExecution,
)
from common.executions.repository import ExecutionRepository  # noqa: E402
from common.mongo.document import utc_now  # noqa: E402
from common.mongo.embedded import embedded_mongod  # noqa: E402

DATABASE = "benchmark"
JOB_SECONDS = 6.0
MOST_RATIO = 1.5
RUNNING_OF = 20
console = open_console()


def application(number: int, jobs: int) -> ApplicationExecution:
    started = utc_now() - timedelta(minutes=number)
    is_running = number % RUNNING_OF == 0
    ended = started + timedelta(seconds=JOB_SECONDS * jobs)
    return ApplicationExecution(
        id=f"application-{number}",
        created_at=started,
        start_time=started,
        end_time=None if is_running else ended,
        state=ApplicationState.RUNNING if is_running else ApplicationState.COMPLETED,
        runner="none",
        application_id=f"spark-{number}",
        submitted_by=f"owner-{number % 7}",
        start_scale_out=4,
        end_scale_out=4,
        global_specs={
            "experiment_name": "benchmark",
            "algorithm_name": f"Algorithm{number % 10}",
            "data_size_MB": 1000,
            "min_scale_out": 1,
            "max_scale_out": 8,
            "max_runtime": JOB_SECONDS * jobs + (10 if number % 3 else -10),
        },
    )


def job(run: ApplicationExecution, job_id: int) -> JobExecution:
    assert run.start_time is not None
    started = run.start_time + timedelta(seconds=JOB_SECONDS * job_id)
    ended = started + timedelta(seconds=JOB_SECONDS)
    span = {"start_time": started, "end_time": ended, "start_scale_out": 4, "end_scale_out": 4}
    stages = {
        str(number): StageExecution(stage_id=str(number), stage_name="map", num_tasks=64, **span)
        for number in (2 * job_id, 2 * job_id + 1)
    }
    return JobExecution(
        application_execution_id=run.id,
        application_id=run.application_id or "",
        job_id=job_id,
        global_specs=run.global_specs,
        optional_specs=run.optional_specs,
        stages=stages,
        **span,
    )


def decision(run: ApplicationExecution, job_id: int, jobs: int) -> ScalingDecision:
    assert run.start_time is not None
    elapsed = JOB_SECONDS * (job_id + 1)
    left = max(JOB_SECONDS * jobs - elapsed, 0.0)
    return ScalingDecision(
        id=f"{run.id}-{job_id:03}",
        application_execution_id=run.id,
        job_id=job_id,
        decided_at=run.start_time + timedelta(seconds=elapsed),
        elapsed_seconds=elapsed,
        current_scale_out=4,
        chosen_scale_out=4,
        target_seconds=run.global_specs.max_runtime,
        candidates=[Candidate(scale_out, 4 * left / scale_out, 0.1) for scale_out in range(1, 9)],
        reason="smallest scale-out that stays within the target",
    )


def documents(run: ApplicationExecution, jobs: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Collection and document; a run that goes on is half through its jobs."""
    yield "application_execution", run.to_mongo()
    for job_id in range(jobs if run.state.is_final else jobs // 2):
        yield "job_execution", job(run, job_id).to_mongo()
        yield "scaling_decision", decision(run, job_id, jobs).to_mongo()


async def fill(client: AsyncMongoClient[dict[str, Any]], first: int, until: int, jobs: int) -> None:
    batches: dict[str, list[dict[str, Any]]] = {}
    for number in range(first, until):
        for collection, document in documents(application(number, jobs), jobs):
            batches.setdefault(collection, []).append(document)
        if number % 200 == 199 or number == until - 1:
            for collection, batch in batches.items():
                await client[DATABASE][collection].insert_many(batch, ordered=False)
            batches.clear()


PAGES = {
    "list": "/ui/applications",
    "list, filtered by algorithm": "/ui/applications?algorithm_name=Algorithm3",
    "list, filtered by owner": "/ui/applications?submitted_by=owner-3",
    "list, filtered by an owner who has none": "/ui/applications?submitted_by=nobody",
    "list, targets missed": "/ui/applications?target=missed",
    "one application": "/ui/applications/application-3",
    "its plot": "/ui/applications/application-3/plot",
    "what runs": "/ui/overview/running",
}


async def median_seconds(http: httpx.AsyncClient, path: str, requests: int) -> float:
    seconds = []
    for _ in range(requests):
        started = time.perf_counter()
        (await http.get(path)).raise_for_status()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[requests // 10 :])


async def measure(sizes: list[int], jobs: int, requests: int) -> Mapping[str, list[float]]:
    """Page to seconds by size."""
    found: dict[str, list[float]] = {name: [] for name in PAGES}
    with tempfile.TemporaryDirectory(prefix="enel-pages-") as folder:
        async with embedded_mongod(Path(folder, "mongodb")) as uri:
            client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, tz_aware=True)
            await ExecutionRepository(client, DATABASE).create_indexes()
            async with (
                service_process(
                    Path(folder, "service"), MONGODB_ENDPOINT=uri, MONGODB_DATABASE=DATABASE
                ) as url,
                httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http,
            ):
                stored = 0
                for size in sizes:
                    console.print(f"{size:,} applications of {jobs} jobs")
                    await fill(client, stored, size, jobs)
                    stored = size
                    for name, path in PAGES.items():
                        found[name].append(await median_seconds(http, path, requests))
            await client.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--applications", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--requests", type=int, default=40, help="of each page, one at a time")
    arguments = parser.parse_args()
    sizes = sorted(arguments.applications)
    found = asyncio.run(measure(sizes, arguments.jobs, arguments.requests))
    columns = ("page", *(f"{size:,}" for size in sizes))
    rows = [[name, *(f"{1000 * each:.1f}" for each in seconds)] for name, seconds in found.items()]
    which = min(1, len(sizes) - 1)
    bars = [
        Bar(f"{name}: {sizes[-1]:,} over {sizes[which]:,}", seconds[-1], MOST_RATIO, baseline=seconds[which])
        for name, seconds in found.items()
    ]
    show(
        console, [Section("Median milliseconds by number of applications", columns, rows), bars_section(bars)]
    )
    return 0 if all(bar.is_met for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
