"""Connections that post reports, each one after the other's answer, in a process that does nothing else.

An HTTP client for people costs about as much per request as the service may; this one writes bytes that were
made before, and reads a status and a length. The plan comes on stdin, the outcome goes to stdout, as JSON.
"""

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

STAGES_PER_JOB = 2
START_MS = 1_700_000_000_000

_PATH = "/training/update_information"


@dataclass(frozen=True)
class Plan:
    """Who sends what to whom."""

    port: int
    connections: list[list[tuple[str, int, int]]]
    """Of each: execution id, first job and job after the last; the job -1 is the start."""
    background: int = 0
    """How many connections at the end of the list stop once all others are done."""


@dataclass
class Sent:
    """What came of it."""

    seconds: float = 0.0
    """From the first request to the last answer; of those that count, where some are in the background."""
    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    """Answers other than 200, by status."""
    latencies: list[list[float]] = field(default_factory=list)
    """Seconds, by connection."""


def report(execution_id: str, job_id: int, scale_out: int = 4) -> dict[str, Any]:
    """The end of a job with two stages; of the job -1 the start of the application."""
    application_id = f"spark-{execution_id}"
    around: dict[str, Any] = {"application_execution_id": execution_id, "application_id": application_id}
    if job_id < 0:
        updates: dict[str, Any] = {
            "application_id": application_id,
            "application_signature": "Synthetic",
            "attempt_id": 0,
            "start_time": START_MS,
            "start_scale_out": scale_out,
        }
        return {**around, "update_event": "APPLICATION_START", "updates": updates}
    begun = START_MS + 5_000 + 3_200 * job_id
    first = STAGES_PER_JOB * job_id
    common: dict[str, Any] = {"start_scale_out": scale_out, "end_scale_out": scale_out}
    common["rescaling_time_ratio"] = 0.0
    stages = {
        str(first + index): {
            **common,
            "stage_id": str(first + index),
            "stage_name": f"{'map' if index == 0 else 'collect'} at job.py:{job_id % 5}",
            "attempt_id": 0,
            "num_tasks": 64,
            "parent_stage_ids": [str(first)] if index else [],
            "failure_reason": "",
            "start_time": begun + 1_500 * index,
            "end_time": begun + 1_500 * (index + 1),
            "rdd_num_partitions": 64,
            "rdd_num_cached_partitions": 0,
            "rdd_mem_size": 0,
            "rdd_disk_size": 0,
            "metrics": {
                "cpu_utilization": 0.7,
                "gc_time_ratio": 0.02,
                "shuffle_rw_ratio": 0.5,
                "data_io_ratio": 1.0,
                "memory_spill_ratio": 0.0,
            },
        }
        for index in range(STAGES_PER_JOB)
    }
    updates = {**common, "job_id": job_id, "start_time": begun, "end_time": begun + 3_000, "stages": stages}
    return {**around, "job_id": job_id, "update_event": "JOB_END", "updates": updates}


def _request(execution_id: str, job_id: int) -> bytes:
    body = json.dumps(report(execution_id, job_id)).encode()
    head = (
        f"POST {_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """One request at a time; bodies of answers are passed over."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) >= length and self._answer is not None:
            self._received = b""
            self._answer.set_result(int(head[9:12]))

    async def ask(self, request: bytes) -> int:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()


async def _send(plan: Plan) -> Sent:
    sent = Sent(latencies=[[] for _ in plan.connections])
    prepared = [
        [((name, job), _request(name, job)) for name, first, end in each for job in range(first, end)]
        for each in plan.connections
    ]
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(_Connection, "127.0.0.1", plan.port))[1] for _ in prepared]
    over = False

    async def one(index: int) -> None:
        for key, request in prepared[index]:
            begun = time.perf_counter()
            status = await opened[index].ask(request)
            sent.latencies[index].append(time.perf_counter() - begun)
            if status == 200:
                sent.acknowledged.append(key)
            else:
                sent.refused[str(status)] = sent.refused.get(str(status), 0) + 1
            if over and index >= len(prepared) - plan.background:
                break

    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    begun = time.perf_counter()
    tasks = [asyncio.create_task(one(index)) for index in range(len(prepared))]
    await asyncio.gather(*tasks[: len(tasks) - plan.background])
    sent.seconds = time.perf_counter() - begun
    over = True
    await asyncio.gather(*tasks)
    for connection in opened:
        connection.close()
    return sent


async def send_reports(plan: Plan) -> Sent:
    """Carry out a plan in a process of its own. Raises RuntimeError where that ends without an outcome."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 28,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asdict(plan)).encode() + b"\n")
    await process.stdin.drain()
    await process.stdout.readline()  # it has made its requests, and is connected
    process.stdin.write(b"\n")
    outcome = await process.stdout.readline()
    if await process.wait() != 0 or not outcome:
        raise RuntimeError(f"The sender of reports has ended with {process.returncode}.")
    fields = json.loads(outcome)
    fields["acknowledged"] = [(name, job) for name, job in fields["acknowledged"]]
    return Sent(**fields)


@dataclass
class Steady:
    """What came of reports at a steady rate."""

    acknowledged: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """Answers other than 200, by status."""
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Acknowledged ones."""
        return self.acknowledged / self.seconds if self.seconds else 0.0


async def send_steadily(
    port: int,
    reports: Iterator[tuple[str, int]],
    per_second: float,
    over: asyncio.Event,
    connections: int = 16,
) -> Steady:
    """Send so many reports a second, however long their answers take, until it is over.

    A report is due whether or not the one before it was answered: a service that is slow is not spared any.
    Only where all connections wait is one late, which `Steady.per_second` tells.

    Args:
        reports: Execution id and job of each, as in a `Plan`; enough of them.
    """
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(_Connection, "127.0.0.1", port))[1] for _ in range(connections)]
    sent, turns, begun = Steady(), itertools.count(), time.perf_counter()

    async def one(connection: _Connection) -> None:
        for turn in turns:
            await asyncio.sleep(max(0.0, begun + turn / per_second - time.perf_counter()))
            if over.is_set():
                return
            status = await connection.ask(_request(*next(reports)))
            if status == 200:
                sent.acknowledged += 1
            else:
                sent.refused[str(status)] = sent.refused.get(str(status), 0) + 1

    try:
        await asyncio.gather(*(one(connection) for connection in opened))
    finally:
        sent.seconds = time.perf_counter() - begun
        for connection in opened:
            connection.close()
    return sent


if __name__ == "__main__":
    given = json.loads(sys.stdin.readline())
    print(json.dumps(asdict(asyncio.run(_send(Plan(**given))))), flush=True)
