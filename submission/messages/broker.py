"""The service's connection to a broker: reads requests, sends what is to be told.

Nothing here relies on what FastStream does by default: that would acknowledge by a timer, drop a message
whose headers are no text, and answer to any topic that a header `reply_to` names.
"""

import asyncio
import json
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
)
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage, Topic
from faststream.kafka.message import KafkaAckableMessage

from common.errors import StartError
from common.instruments import Instruments, unscraped
from common.loops import BackOff, Loop
from common.settings.messages import MessageSettings
from submission.messages.connection import broker_options, quiet, reason
from submission.messages.documents import Json, Record
from submission.messages.errors import MessageTooLarge, NotAcknowledged

logger = logging.getLogger(__name__)
_of_the_library = logging.getLogger(f"{__name__}.faststream")
_of_the_library.setLevel(logging.WARNING)  # it tells of every message

_LOOK_SECONDS = 5.0
_PAUSES = BackOff(0.5, 30.0)
"""While something is away; far below `max.poll.interval.ms`, after which others would get the message."""
_STOP_SECONDS = 5.0


_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)

Take = Callable[[Record], Awaitable[object]]
"""Stores what a message asks for. Raises where it is to be handed over again."""


class Broker:
    """One connection, to be opened once."""

    def __init__(self, settings: MessageSettings, take: Take, instruments: Instruments | None = None) -> None:
        """Raises StartError where the settings are of no use."""
        self.settings = settings
        self._take = take
        self._instruments = instruments or unscraped()
        self._stopping = asyncio.Event()
        self._failures = 0
        self._joining: asyncio.Task[None] | None = None
        self.is_up = False
        """Whether it answered when it was last asked."""
        quiet()
        self._kafka = KafkaBroker(
            **broker_options(settings), logger=_of_the_library, graceful_timeout=_STOP_SECONDS
        )
        self._subscriber = self._kafka.subscriber(
            # Declared, it would be created where it is missing: with one partition, and one replica.
            Topic(settings.kafka_training_topic, declare=False),
            group_id=settings.kafka_group,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            parser=self._as_message,
            decoder=_as_it_is,
        )
        self._subscriber(self._handle)

    async def connect(self) -> None:
        """Connect, and read nothing yet. Raises StartError where no broker can be used."""
        async with self._usable(), asyncio.timeout(self.settings.kafka_timeout_seconds):
            await self._kafka.connect()

    async def start(self) -> None:
        """Connect, and read from then on. Raises StartError where no broker can be used."""
        await self.connect()
        async with self._usable():
            # To join the group takes as long as its other members need for what they are at.
            self._joining = asyncio.create_task(self._join())
            await asyncio.wait({self._joining}, timeout=self.settings.kafka_timeout_seconds)
            if self._joining.done():
                self._joining.result()
        self.is_up = True

    @asynccontextmanager
    async def _usable(self) -> AsyncIterator[None]:
        try:
            yield
        except (KafkaError, OSError, ValueError) as error:
            await self.stop()
            raise StartError(await reason(self.settings, error)) from error

    async def _join(self) -> None:
        """Begin to read. Raises KafkaError where that is refused while the start waits for it."""
        failures = 0
        while True:
            try:
                await self._kafka.start()
                break
            except (KafkaError, OSError) as error:
                if not self.is_up:
                    raise
                failures += 1
                logger.warning("Reading is begun again later: %s", str(error) or type(error).__name__)
                await self._subscriber.stop()
            await asyncio.sleep(_PAUSES.seconds(failures))
        logger.info("Training requests are read from the topic %s", self.settings.kafka_training_topic)

    async def stop(self) -> None:
        """Leave the group; what is being taken is not acknowledged, unless it is done in time."""
        self._stopping.set()
        if self._joining is not None:
            self._joining.cancel()
            await asyncio.wait({self._joining})
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(2 * _STOP_SECONDS):
                await self._kafka.stop()

    def loop(self) -> Loop:
        """To run while the service does."""
        return Loop("broker of messages", self.look, _LOOK_SECONDS, _LOOK_SECONDS)

    async def look(self) -> None:
        """Ask whether it answers, for those who want to know."""
        was_up, self.is_up = self.is_up, await self._kafka.ping(self.settings.kafka_timeout_seconds)
        if was_up != self.is_up:
            logger.warning("The broker %s", "answers again" if self.is_up else "does not answer")

    async def send(
        self,
        kind: str,
        topic: str,
        key: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """Send an object, and wait until all replicas have it.

        Args:
            kind: What is counted.
        Returns:
            Where it is: topic, partition and offset.
        Raises:
            NotAcknowledged: Not in time.
            MessageTooLarge: It never will have it.
        """
        content = _json(body)
        try:
            async with asyncio.timeout(self.settings.kafka_timeout_seconds):
                sent = await self._kafka.publish(
                    content, topic, key=key.encode(), headers=dict(headers or {})
                )
        except _TOO_LARGE as error:
            raise MessageTooLarge(
                f"The broker takes no message of {len(content):,} bytes to {topic}."
            ) from error
        except (KafkaError, OSError) as error:
            what = str(error) or type(error).__name__
            raise NotAcknowledged(f"The broker has not acknowledged a message to {topic}: {what}") from error
        self._instruments.sent_messages.labels(kind).inc()
        return {"topic": sent.topic, "partition": sent.partition, "offset": sent.offset}

    async def _as_message(self, record: ConsumerRecord[Any, Any]) -> KafkaMessage:
        """Whatever it holds: what an error here would be of, nobody would hear of again."""
        return KafkaAckableMessage(
            body=record.value or b"", raw_message=record, consumer=self._subscriber.consumer, headers={}
        )

    async def _handle(self, message: KafkaMessage) -> None:
        """Take one, and acknowledge it; or have it handed over again, after a pause."""
        raw = message.raw_message
        assert not isinstance(raw, tuple), "they come one by one"
        place = TopicPartition(raw.topic, raw.partition)
        try:
            await self._take(_record(raw))
        except Exception as error:  # raised, FastStream would go on with the next one, and acknowledge both
            self._failures += 1
            pause = _PAUSES.seconds(self._failures)
            logger.warning(
                "a message of %s is taken again in %g s: %s",
                raw.topic,
                pause,
                str(error) or type(error).__name__,
            )
            self._instruments.messages.labels("postponed").inc()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            with suppress(IllegalStateError):  # the partition is another one's now
                message.consumer.seek(place, raw.offset)
            return
        self._failures = 0
        try:
            await message.consumer.commit({place: raw.offset + 1})  # type: ignore[call-arg]
        except (KafkaError, IllegalStateError) as error:
            # Whoever gets it again finds it stored.
            logger.info("%s/%d was not acknowledged: %s", raw.topic, raw.offset, type(error).__name__)


async def _as_it_is(message: KafkaMessage) -> KafkaMessage:
    return message


def _json(body: Mapping[str, Any]) -> bytes:
    """Strictly: what JSON has no number for is null. Raises MessageTooLarge where it is nested too deeply."""
    try:
        try:
            text = json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        except ValueError:
            text = json.dumps(_finite(body), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except RecursionError as error:
        raise MessageTooLarge("The message is nested too deeply.") from error
    return text.encode(errors="replace")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _record(raw: ConsumerRecord[Any, Any]) -> Record:
    return Record(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        timestamp_ms=raw.timestamp,
        key=raw.key,
        value=raw.value,
        headers={name: value for name, value in raw.headers if value is not None},
    )
