"""How long the choice of a first scale-out takes, with long histories and with one run of huge jobs.

    python benchmarks/first_scale_out.py [--runs 60 300 900] [--questions 20] [--output DIR]

Starts a service on a MongoDB of its own, and stores histories of so many runs of 18 jobs, each once as it
is and once with a run of three jobs of 10,000 stages more. Of each it asks `POST
/prediction/initial_scale_out` for the first time since the runs were stored, and then again; another client
asks `/healthz` every 20 ms meanwhile. Machines differ: compare rows of one run, by the ratios.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from pymongo import AsyncMongoClient

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.client.process import service_process  # noqa: E402
from benchmarks.reporting import Section, open_console, show, write  # noqa: E402
from benchmarks.support.alone import ALONE  # noqa: E402
from common.executions.documents import ApplicationExecution, JobExecution, StageExecution  # noqa: E402
from common.executions.repository import ExecutionRepository  # noqa: E402
from common.mongo.embedded import embedded_mongod  # noqa: E402
from common.mongo.types import Client  # noqa: E402

DATABASE = "benchmark"
JOBS = 18
HUGE_JOBS = 3
HUGE_STAGES = 10_000
HEALTH_SECONDS = 0.02
START = 1_700_000_000.0

console = open_console()


@dataclass(frozen=True)
class Row:
    """Answers with one history."""

    runs: int
    has_huge: bool
    first_ms: float
    again_ms: float
    """Median of further questions."""
    longest_gap_ms: float
    """Between two answers of `/healthz`, in all of that."""


def _specs(algorithm: str) -> dict[str, Any]:
    return {
        "global_specs": {
            "experiment_name": "benchmark",
            "algorithm_name": algorithm,
            "data_size_MB": 1000,
            "min_scale_out": 2,
            "max_scale_out": 16,
            "max_runtime": 120.0,
        },
        "worker_specs": {"scale_out": 4},
    }


def _documents(algorithm: str, number: int, stages_of: Sequence[int]) -> tuple[dict[str, Any], list[Any]]:
    """A run that has completed, and its jobs with so many stages each."""
    name, scale_out = f"{algorithm}-{number}", 2 + number % 12
    random = np.random.default_rng(number)
    now = begun = START + 3600.0 * number
    jobs = []
    for job_id, count in enumerate(stages_of):
        seconds = (2.0 + job_id % 5) * (0.2 + 8.0 / scale_out) * float(random.lognormal(0.0, 0.05))
        span = {"start_time": now, "end_time": now + seconds}
        executors = {"start_scale_out": scale_out, "end_scale_out": scale_out}
        stages = {
            str(stage): StageExecution(
                stage_id=str(stage),
                stage_name=f"map at job.py:{stage % 50}",
                num_tasks=64,
                parent_stage_ids=[str(stage - 1)] if stage else [],
                metrics={"cpu_utilization": 0.7},
                **span,
                **executors,
            )
            for stage in range(count)
        }
        jobs.append(
            JobExecution(
                application_execution_id=name,
                application_id=f"spark-{name}",
                job_id=job_id,
                optional_specs={},
                stages=stages,
                **span,
                **executors,
                global_specs=_specs(algorithm)["global_specs"],
            ).to_mongo()
        )
        now += seconds
    execution = ApplicationExecution(
        id=name,
        created_at=begun,
        state="COMPLETED",
        application_id=f"spark-{name}",
        start_time=begun,
        start_scale_out=scale_out,
        end_time=now,
        last_job_id=len(jobs) - 1,
        last_job_end_time=now,
        ended_jobs=len(jobs),
        **_specs(algorithm),
    )
    return execution.to_mongo(), jobs


async def _store(client: Client, algorithm: str, runs: int, *, huge: bool) -> None:
    database = client[DATABASE]
    for number in range(runs):
        stages = [HUGE_STAGES] * HUGE_JOBS if huge and number == runs - 2 else [2] * JOBS
        execution, jobs = _documents(algorithm, number, stages)
        await database["application_execution"].insert_one(execution)
        for job in jobs:
            await database["job_execution"].insert_one(job)


async def _ask(http: httpx.AsyncClient, algorithm: str) -> float:
    """Seconds."""
    begun = time.perf_counter()
    answer = await http.post("/prediction/initial_scale_out", json=_specs(algorithm), timeout=300.0)
    answer.raise_for_status()
    assert answer.json()["source"], answer.json()["reason"]
    return time.perf_counter() - begun


@contextlib.asynccontextmanager
async def _watched(http: httpx.AsyncClient) -> AsyncIterator[list[float]]:
    """Seconds between answers of `/healthz` meanwhile."""
    gaps: list[float] = []
    over = asyncio.Event()

    async def watch() -> None:
        last = time.perf_counter()
        while not over.is_set():
            (await http.get("/healthz", timeout=60.0)).raise_for_status()
            now = time.perf_counter()
            gaps.append(now - last)
            last = now
            await asyncio.sleep(HEALTH_SECONDS)

    task = asyncio.create_task(watch())
    try:
        yield gaps
    finally:
        over.set()  # after the answer that is under way: what held it up belongs to the last question
        await task


async def _measure(http: httpx.AsyncClient, algorithm: str, runs: int, huge: bool, questions: int) -> Row:
    async with _watched(http) as gaps:
        first = await _ask(http, algorithm)
        again = [await _ask(http, algorithm) for _ in range(questions)]
    return Row(runs, huge, 1000 * first, 1000 * float(np.median(again)), 1000 * max(gaps, default=0.0))


async def measure(sizes: Sequence[int], questions: int) -> list[Row]:
    """All histories, each of an algorithm of its own."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="enel-benchmark-") as folder:
        async with (
            embedded_mongod(Path(folder) / "mongodb") as uri,
            service_process(
                Path(folder) / "service",
                **{**ALONE, "MONGODB_ENDPOINT": uri, "MONGODB_DATABASE": DATABASE},
            ) as url,
            httpx.AsyncClient(base_url=url) as http,
        ):
            client: Client = AsyncMongoClient(uri, tz_aware=True)
            await ExecutionRepository(client, DATABASE).create_indexes()
            await _store(client, "warm-up", 10, huge=False)
            await _ask(http, "warm-up")
            for runs in sizes:
                for huge in (False, True):
                    algorithm = f"history-{runs}-{'huge' if huge else 'usual'}"
                    console.print(f"{runs} runs{', one of them huge' if huge else ''} …")
                    await _store(client, algorithm, runs, huge=huge)
                    rows.append(await _measure(http, algorithm, runs, huge, questions))
            await client.close()
    return rows


def section(rows: Sequence[Row]) -> Section:
    """Table of them; ratios are to the first row."""
    base = rows[0]
    return Section(
        "Choice of a first scale-out",
        [
            "runs",
            "three huge jobs",
            "first question, ms",
            "again, ms",
            "ratio",
            "longest gap of /healthz, ms",
        ],
        [
            [
                str(row.runs),
                "three, in one run" if row.has_huge else "none",
                f"{row.first_ms:.0f}",
                f"{row.again_ms:.1f}",
                f"{row.again_ms / base.again_ms:.2f}",
                f"{row.longest_gap_ms:.0f}",
            ]
            for row in rows
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, nargs="+", default=[60, 300, 900])
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rows = asyncio.run(measure(arguments.runs, arguments.questions))
    sections = [section(rows)]
    show(console, sections)
    if arguments.output:
        write(arguments.output, "first_scale_out", sections, [], {"rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
