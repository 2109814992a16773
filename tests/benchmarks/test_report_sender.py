"""Reports at a steady rate, as `benchmarks/against.py` sends them, to a server of a few lines."""

import asyncio
import itertools

from benchmarks.support.report_sender import send_steadily
from common.wire.events import UpdateInformation

APPLICATIONS, ENOUGH = 4, 120


async def test_every_report_is_a_new_one_that_the_service_takes_and_refused_ones_are_told() -> None:
    over = asyncio.Event()
    received: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            length = int(head.lower().partition("content-length:")[2].splitlines()[0])
            received.append(await reader.readexactly(length))
            if len(received) >= ENOUGH:
                over.set()
            status = "503 Service Unavailable" if len(received) == 3 else "200 OK"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            await writer.drain()
        writer.close()

    reports = ((f"run-{n % APPLICATIONS}", n // APPLICATIONS - 1) for n in itertools.count())
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        sent = await send_steadily(port, reports, 100_000.0, over, connections=3)

    assert sent.refused == {"503": 1}
    assert sent.acknowledged == len(received) - 1 >= ENOUGH - 1
    reported = [UpdateInformation.model_validate_json(each) for each in received]
    assert all(each.event() for each in reported)
    said = [(each.application_execution_id, each.update_event, each.job_id) for each in reported]
    assert len(set(said)) == len(said)
    assert {event for _, event, job in said if job is None} == {"APPLICATION_START"}
    # Jobs beyond those of any one run, too: their ids agree inside and outside.
    assert max(job for _, _, job in said if job is not None) >= ENOUGH // APPLICATIONS - 2


async def _head(reader: asyncio.StreamReader) -> str:
    """Of a request; empty where no further one comes."""
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return ""
