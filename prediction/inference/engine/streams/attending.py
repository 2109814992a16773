"""What is asked over a stream, carried out: the other end of `Connection`."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from prediction.inference.engine import failures
from prediction.inference.engine.streams import wire
from prediction.inference.engine.streams.wire import Message

Operation = Callable[[Mapping[str, Any], bytes], Coroutine[Any, Any, tuple[dict[str, Any], bytes]]]
"""From a message's head and body to those of its answer."""


class Attendant:
    """One stream's messages, each carried out in a task of its own; its answer has the same `id`."""

    def __init__(self, operations: Mapping[str, Operation], writer: asyncio.StreamWriter) -> None:
        """Args: operations: By the `op` that asks for them."""
        self._operations = operations
        self._writer = writer
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def attend(self, reader: asyncio.StreamReader) -> None:
        """Returns when the other side is gone."""
        while (message := await wire.read(reader)) is not None:
            number = message.head["id"]
            if message.head["op"] == "cancel":
                if task := self._tasks.get(number):
                    task.cancel()
                continue
            self._tasks[number] = asyncio.create_task(self._carry_out(number, message))

    async def _carry_out(self, number: int, message: Message) -> None:
        try:
            head, body = await self._operations[message.head["op"]](message.head, message.body)
        except Exception as error:
            text = (
                str(error) if type(error) in failures.KINDS.values() else f"{type(error).__name__}: {error}"
            )
            head, body = {"error": failures.kind_of(error), "message": text}, b""
        finally:
            del self._tasks[number]
        wire.write(self._writer, Message({"id": number} | head, body))
        await self._writer.drain()
