"""Lines of logs, for the topic that they go to: in batches, each with the number of its first line."""

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from common.errors import NotFound
from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.loops import Loop
from common.mongo.document import utc_now
from submission.messages.documents import TrainingMessage
from submission.messages.errors import MessageTooLarge
from submission.messages.repository import MessageRepository
from submission.service import SubmissionService

if TYPE_CHECKING:
    from submission.messages.broker import Broker

logger = logging.getLogger(__name__)

_TURN_SECONDS = 2.0
_BATCH_SECONDS = 1.0
_MOST_LINES = 500
_MOST_CHARACTERS = 100_000
_LONGEST_LINE = 10_000
_LEFT_OUT = "[a line that is too long for the broker]"
_GIVEN_UP_AFTER = timedelta(hours=1)
"""An application whose log no service can read any more has ended so long ago."""

_MOST_AT_ONCE = 64


class LogLines:
    """Follows the logs of runs that messages have started."""

    def __init__(
        self,
        stored: MessageRepository,
        executions: ExecutionRepository,
        submissions: SubmissionService,
        broker: "Broker",
        sender: str,
    ) -> None:
        self._stored = stored
        self._executions = executions
        self._submissions = submissions
        self._broker = broker
        self._sender = sender
        self._following: dict[str, asyncio.Task[None]] = {}

    def loop(self) -> Loop:
        """To run while the service does."""
        return Loop("logs by message", self.turn, _TURN_SECONDS)

    async def turn(self) -> None:
        """Begin to follow what is new."""
        self._following = {id_: task for id_, task in self._following.items() if not task.done()}
        for message in await self._stored.open():
            is_new = message.execution_id is not None and message.id not in self._following
            if is_new and not message.log_sent and len(self._following) < _MOST_AT_ONCE:
                self._following[message.id] = asyncio.create_task(self._follow(message))

    async def aclose(self) -> None:
        """Follow none any more."""
        for task in self._following.values():
            task.cancel()
        await asyncio.gather(*self._following.values(), return_exceptions=True)

    async def _follow(self, message: TrainingMessage) -> None:
        """Until it has ended; what fails is tried again by a later turn, from where it was."""
        try:
            await self._send_all(message)
        except NotFound:  # it runs elsewhere, and whoever runs it sends it
            ended_at = await self._executions.ended_at(message.execution_id or "")
            if ended_at is not None and ended_at < utc_now() - _GIVEN_UP_AFTER:
                await self._ended(message)
        except Exception as error:
            name = type(error).__name__
            logger.warning("%s: its log is sent later: %s", message.execution_id, str(error) or name)

    async def _send_all(self, message: TrainingMessage) -> None:
        run_id = message.execution_id or ""
        if (await self._executions.get(run_id)).state is ApplicationState.NEW:
            return
        lines = await self._submissions.follow_lines(run_id, message.log_lines_sent)
        if not await self._stored.claim_log(message, self._sender):
            return
        queue: asyncio.Queue[str | None] = asyncio.Queue(_MOST_LINES)

        async def read() -> None:
            try:
                async for line in lines:
                    await queue.put(line[:_LONGEST_LINE])
            except Exception:
                await queue.put(None)
                raise
            await queue.put(None)

        reading = asyncio.create_task(read())
        try:
            sent = message.log_lines_sent
            goes_on = True
            while goes_on:
                batch, goes_on = await _batch(queue)
                if not await self._stored.claim_log(message, self._sender):
                    return
                if batch:
                    await self._send(run_id, sent, batch)
                    sent += len(batch)
                    await self._stored.note(message, {"log_lines_sent": sent})
            await reading
        finally:
            reading.cancel()
        if (await self._executions.get(run_id)).state.is_final:
            await self._ended(message)

    async def _send(self, run_id: str, offset: int, lines: list[str]) -> None:
        """In halves where the broker takes nothing so large."""
        body = {"id": run_id, "offset": offset, "lines": lines}
        try:
            await self._broker.send("log", self._broker.settings.kafka_log_topic, run_id, body)
        except MessageTooLarge:
            if lines == [_LEFT_OUT]:
                raise
            half = len(lines) // 2
            if half:
                await self._send(run_id, offset, lines[:half])
                await self._send(run_id, offset + half, lines[half:])
            else:
                await self._send(run_id, offset, [_LEFT_OUT])

    async def _ended(self, message: TrainingMessage) -> None:
        there = await self._stored.find(message.id)
        is_open = there is not None and not there.result_sent
        await self._stored.note(message, {"log_sent": True, "open": is_open})


async def _batch(queue: asyncio.Queue[str | None]) -> tuple[list[str], bool]:
    """Lines of a moment, and whether there may be more; none where nothing comes for a while."""
    lines: list[str] = []
    size = 0
    try:
        async with asyncio.timeout(_BATCH_SECONDS):
            while len(lines) < _MOST_LINES and size < _MOST_CHARACTERS:
                line = await queue.get()
                if line is None:
                    return lines, False
                lines.append(line)
                size += len(line)
    except TimeoutError:
        pass
    return lines, True
