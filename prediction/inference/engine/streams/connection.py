"""The service's connection to its gateway: many calls at once, each with an answer of its own."""

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

from prediction.inference.engine import failures
from prediction.inference.engine.failures import EngineUnavailable
from prediction.inference.engine.streams import wire
from prediction.inference.engine.streams.wire import Message


class Connection:
    """Calls over one stream; the gateway's errors are raised as what they were."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._calls: dict[int, asyncio.Future[Message]] = {}
        self._numbers = itertools.count()
        self._reading = asyncio.create_task(self._read(reader))

    @property
    def is_open(self) -> bool:
        return not self._reading.done()

    async def call(self, op: str, fields: Mapping[str, Any], body: bytes = b"") -> Message:
        """Have an operation carried out; who is cancelled takes it back where it still waits.

        Raises:
            EngineUnavailable: The gateway is gone, or says so.
            LoadFailed, ModelError: Whatever the operation raised.
        """
        if not self.is_open:
            raise EngineUnavailable("The engine's gateway has ended.")
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        try:
            wire.write(self._writer, Message({"id": number, "op": op, **fields}, body))
            await self._writer.drain()
            message = await answer
        except OSError as error:
            raise EngineUnavailable("The engine's gateway has ended.") from error
        except asyncio.CancelledError:
            if self.is_open:
                wire.write(self._writer, Message({"id": number, "op": "cancel"}))
            raise
        finally:
            del self._calls[number]
        if kind := message.head.get("error"):
            raise failures.error_of(kind, message.head["message"])
        return message

    async def close(self) -> None:
        """Whoever still waits for an answer is told that there is none."""
        self._reading.cancel()
        await asyncio.wait({self._reading})
        self._writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while (message := await wire.read(reader)) is not None:
                call = self._calls.get(message.head["id"])
                if call and not call.done():
                    call.set_result(message)
        finally:
            for call in self._calls.values():
                if not call.done():
                    call.set_exception(EngineUnavailable("The engine's gateway has ended."))
