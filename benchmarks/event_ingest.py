"""How many reports of drivers a service stores in a second, and what one driver's flood does to others.

    python benchmarks/event_ingest.py [--seconds 5] [--connections 1 8 32 64] [--output DIR]

Starts a service on a MongoDB of its own, and has processes of their own send the ends of jobs over 1, 8, 32
and 64 connections: each connection tells of one application after the other, its start first and then its
18 jobs, as fast as it is answered. In the same run, as many tasks do with bare PyMongo what a report needs
least: one transaction that inserts a job and changes its application, acknowledged by a majority's journal
(of a start the write of the application alone). Starts count as reports on both sides.
Then all jobs of one application come at once, and one application floods the service beside 20 others.
In the end every acknowledged report has to be stored exactly once. Machines differ, and so do their
minutes: compare figures of one run.
"""

import argparse
import asyncio
import contextlib
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.read_concern import ReadConcern

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.client.process import service_process  # noqa: E402
from benchmarks.reporting import Bar, Section, bars_section, open_console, show, write  # noqa: E402
from benchmarks.support.alone import ALONE  # noqa: E402
from benchmarks.support.report_sender import Plan, Sent, report, send_reports  # noqa: E402
from common.executions.documents import ApplicationExecution  # noqa: E402
from common.executions.repository import ExecutionRepository  # noqa: E402
from common.mongo.embedded import embedded_mongod  # noqa: E402
from common.mongo.transactions import DURABLE  # noqa: E402
from common.mongo.types import Client  # noqa: E402

DATABASE = "benchmark"
JOBS = 18
OTHERS = 20
FLOODING = 16
"""Connections of the one that floods; each of the others has one."""

MAIN_CONNECTIONS = 32
EVENTS_PER_SECOND = 1000.0

console = open_console()


@dataclass(frozen=True)
class Rate:
    """Reports that were stored over so many connections, or by so many tasks."""

    connections: int
    reports: int
    seconds: float
    median_ms: float
    p95_ms: float
    service_cpu_ms: float = 0.0
    mongod_cpu_ms: float = 0.0
    """Per report."""

    @property
    def per_second(self) -> float:
        return self.reports / self.seconds


class Bench:
    """A service, its MongoDB, and everything that was acknowledged."""

    def __init__(self, client: Client, port: int, seconds: float) -> None:
        self._client, self._port, self._seconds = client, port, seconds
        self._executions = ExecutionRepository(client, DATABASE)
        self._numbers = iter(range(10**9))
        self.acknowledged: Counter[tuple[str, int]] = Counter()
        self.refused: Counter[str] = Counter()

    async def applications(self, count: int) -> list[str]:
        """Ids of new executions."""
        made = [_execution(next(self._numbers)) for _ in range(count)]
        await self._client[DATABASE]["application_execution"].insert_many([each.to_mongo() for each in made])
        return [each.id for each in made]

    async def send(self, connections: list[list[tuple[str, int, int]]], background: int = 0) -> Sent:
        sent = await send_reports(Plan(self._port, connections, background))
        self.acknowledged.update(sent.acknowledged)
        self.refused.update(sent.refused)
        return sent

    async def rate(self, connections: int, expected_per_second: float) -> Rate:
        """Of whole applications over so many connections, for about as long as was asked for."""
        each = max(1, round(self._seconds * expected_per_second / (JOBS + 1) / connections))
        names = iter(await self.applications(each * connections))
        before = _cpu_seconds()
        sent = await self.send([[(next(names), -1, JOBS) for _ in range(each)] for _ in range(connections)])
        spent = [1000 * (after - each) for after, each in zip(_cpu_seconds(), before, strict=True)]
        rate = _rate(connections, sent.latencies, sent.seconds)
        service, mongod = (each / rate.reports for each in spent)
        return replace(rate, service_cpu_ms=service, mongod_cpu_ms=mongod)

    async def bare(self, tasks: int) -> Rate:
        """The least that a report needs, without a service; of an application's start one durable write."""
        database = self._client.get_database("bare", write_concern=DURABLE)
        jobs, applications = database["jobs"], database["applications"]
        await jobs.create_index(["execution", "job"], unique=True)
        application = _execution(0).model_dump(exclude={"id"})
        until = time.perf_counter() + self._seconds

        async def one(number: int) -> list[float]:
            taken: list[float] = []
            for name, job in self._bare_jobs(number):
                begun = time.perf_counter()
                if begun > until:
                    break
                if job < 0:
                    await applications.insert_one({"_id": name, **application})
                    taken.append(time.perf_counter() - begun)
                    continue
                document = {**report(name, job)["updates"], "execution": name, "job": job}

                async def store(session: AsyncClientSession, document: Any = document) -> None:
                    await jobs.insert_one(document, session=session)
                    change = {"$set": {"last_job_id": document["job"]}}
                    await applications.update_one({"_id": document["execution"]}, change, session=session)

                async with self._client.start_session() as session:
                    await session.with_transaction(
                        store, read_concern=ReadConcern("snapshot"), write_concern=DURABLE
                    )
                taken.append(time.perf_counter() - begun)
            return taken

        begun = time.perf_counter()
        latencies = await asyncio.gather(*(one(number) for number in range(tasks)))
        return _rate(tasks, latencies, time.perf_counter() - begun)

    def _bare_jobs(self, number: int) -> Iterator[tuple[str, int]]:
        while True:
            name = f"{number}-{next(self._numbers)}"
            yield from ((name, job) for job in range(-1, JOBS))

    async def burst(self, times: int = 20) -> list[float]:
        """Seconds until all jobs of one application are stored that were sent at once; of some runs."""
        taken = []
        for name in await self.applications(times):
            await self.send([[(name, -1, 0)]])
            sent = await self.send([[(name, job, job + 1)] for job in range(JOBS)])
            taken.append(sent.seconds)
        return taken

    async def beside(self, flood: bool) -> list[list[float]]:
        """Latencies of 20 applications, by application, with one beside them that floods, or without."""
        each = max(5, round(self._seconds * EVENTS_PER_SECOND / OTHERS / 2))
        others = await self.applications(OTHERS)
        connections = [[(name, 0, each)] for name in others]
        if flood:
            [name] = await self.applications(1)
            connections += [
                [(name, 10_000 * number, 10_000 * number + each * 5)] for number in range(FLOODING)
            ]
        sent = await self.send(connections, FLOODING if flood else 0)
        return sent.latencies[:OTHERS]

    async def check(self) -> None:
        """Raises SystemExit where something that was acknowledged is not stored exactly once."""
        stored: Counter[tuple[str, int]] = Counter()
        found = self._client[DATABASE]["job_execution"].find({}, {"application_execution_id": 1, "job_id": 1})
        async for job in found:
            stored[job["application_execution_id"], job["job_id"]] += 1
        query = {"driver_start_count": {"$gt": 0}}
        async for run in self._client[DATABASE]["application_execution"].find(query):
            stored[run["_id"], -1] = run["driver_start_count"]
        wrong = [key for key in self.acknowledged if stored[key] != 1]
        if wrong or max(self.acknowledged.values()) > 1 or self.refused:
            raise SystemExit(f"not stored exactly once: {wrong[:10]}; refused: {dict(self.refused)}")


def _execution(number: int) -> ApplicationExecution:
    return ApplicationExecution(
        id=f"ingest-{number}",
        global_specs={
            "experiment_name": "benchmark",
            "algorithm_name": "Synthetic",
            "data_size_MB": 1000,
            "min_scale_out": 4,
            "max_scale_out": 36,
            "max_runtime": 400.0,
        },
        worker_specs={"scale_out": 4},
    )


def _cpu_seconds() -> tuple[float, float]:
    """Of the service and of MongoDB, which this process has started."""
    service = mongod = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            seconds = sum(process.cpu_times()[:2])
            if process.name() == "mongod":
                mongod += seconds
            elif "main.py" in process.cmdline():
                service += seconds
    return service, mongod


def _rate(connections: int, latencies: Sequence[Sequence[float]], seconds: float) -> Rate:
    milliseconds = 1000 * np.concatenate([np.array(each) for each in latencies])
    median, p95 = np.quantile(milliseconds, (0.5, 0.95))
    return Rate(connections, len(milliseconds), seconds, float(median), float(p95))


def _slowest(beside: Sequence[Sequence[float]], alone: Sequence[Sequence[float]]) -> float:
    """How many times slower the application is that suffers most, by medians."""
    usual = float(np.median([np.median(each) for each in alone]))
    return max(float(np.median(each)) for each in beside) / usual


async def measure(bench: Bench, arguments: argparse.Namespace) -> None:
    await bench.rate(8, 100)  # what is slow only the first time
    rates, bare = [], []
    expected = 300.0
    for connections in arguments.connections:
        console.print(f"{connections} connections", style="dim")
        rates.append(await bench.rate(connections, expected))
        bare.append(await bench.bare(connections))
        expected = max(rates[-1].per_second, 100.0)
    console.print("bursts, and a flood", style="dim")
    bursts = await bench.burst()
    alone = await bench.beside(flood=False)
    flooded = await bench.beside(flood=True)
    await bench.check()
    _report(rates, bare, bursts, alone, flooded, arguments.output)


def _report(
    rates: Sequence[Rate],
    bare: Sequence[Rate],
    bursts: Sequence[float],
    alone: Sequence[Sequence[float]],
    flooded: Sequence[Sequence[float]],
    output: Path | None,
) -> None:
    rows = [
        [
            str(ours.connections),
            f"{ours.per_second:.0f}",
            f"{ours.median_ms:.1f}",
            f"{ours.p95_ms:.1f}",
            f"{ours.service_cpu_ms:.2f}",
            f"{ours.mongod_cpu_ms:.2f}",
            f"{theirs.per_second:.0f}",
            f"{ours.per_second / theirs.per_second:.2f}",
        ]
        for ours, theirs in zip(rates, bare, strict=True)
    ]
    columns = (
        *("connections", "reports/s", "median, ms", "p95, ms", "CPU of the service, ms", "of mongod, ms"),
        *("bare PyMongo, 1/s", "ratio"),
    )
    sections = [Section("Reports that are stored", columns, rows)]

    def quantiles(name: str, latencies: Sequence[float]) -> list[str]:
        median, p95 = 1000 * np.quantile(latencies, (0.5, 0.95))
        return [name, f"{median:.1f}", f"{p95:.1f}", str(len(latencies))]

    names = ("all 18 jobs of one application at once, until the last is stored",)
    latency_rows = [
        quantiles(names[0], bursts),
        quantiles(f"a report of {OTHERS} applications alone", np.concatenate(alone)),
        quantiles("  the same beside one that floods", np.concatenate(flooded)),
    ]
    sections.append(Section("How long it takes", ("milliseconds", "median", "p95", "n"), latency_rows))

    bars = [
        Bar(
            f"reports/s over {ours.connections} connections, against bare PyMongo",
            ours.per_second,
            float("inf"),
            theirs.per_second,
            at_least=0.6,
        )
        for ours, theirs in zip(rates, bare, strict=True)
        if ours.connections == MAIN_CONNECTIONS
    ]
    bars += [
        Bar("  the same, 1/s", ours.per_second, float("inf"), at_least=EVENTS_PER_SECOND)
        for ours in rates
        if ours.connections == MAIN_CONNECTIONS
    ]
    bars += [
        Bar(
            f"reports/s over {more.connections} connections, against {fewer.connections}",
            more.per_second,
            float("inf"),
            fewer.per_second,
            at_least=0.95,
        )
        for fewer, more in itertools.pairwise(rates)
    ]
    bars.append(
        Bar(f"slowest of {OTHERS} beside a flood, medians against alone", _slowest(flooded, alone), 2.0)
    )
    sections.append(bars_section(bars))
    show(console, sections)
    if output is not None:
        values = {
            "rates": [asdict(each) for each in rates],
            "bare": [asdict(each) for each in bare],
            "burst_seconds": list(bursts),
            "alone_seconds": alone,
            "flooded_seconds": flooded,
        }
        write(output, "event_ingest", sections, bars, values)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long each row takes")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, MAIN_CONNECTIONS, 64])
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="enel-benchmark-") as folder:
        async with embedded_mongod(Path(folder) / "mongodb", cache_gigabytes=0.5) as uri:
            client: Client = AsyncMongoClient(uri, tz_aware=True)
            await ExecutionRepository(client, DATABASE).create_indexes()
            environment = {**ALONE, "MONGODB_ENDPOINT": uri, "MONGODB_DATABASE": DATABASE}
            async with service_process(Path(folder) / "service", **environment) as url:
                port = urlsplit(url).port
                assert port is not None
                await measure(Bench(client, port, arguments.seconds), arguments)
            await client.close()


if __name__ == "__main__":
    asyncio.run(main())
