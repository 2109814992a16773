"""Shadows: versions that are asked the same as another, and answer nobody.

What they are given is made from the questions anew, as their own signatures say; what they cannot read is an
error of theirs. Nobody waits for them, so they have few places, and little memory.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from typing import Any

from common.errors import PayloadTooLarge, ServiceError
from prediction.inference.decoding import Decoding
from prediction.inference.images.limits import ImageLimits
from prediction.inference.model_process.frames import Row
from prediction.inference.outcomes import Answer, Remembering, outcomes_of
from prediction.inference.questions import Prediction, Questions, RowOutcome
from prediction.inference.queue.admission import Admission, QueueFull, Wanted
from prediction.inference.records.documents import Role
from prediction.inference.served.loading import LoadedVersion
from prediction.inference.served.model_server import ModelServer

logger = logging.getLogger(__name__)

_AT_ONCE = 64

CALLER = "(shadow)"
"""Who asks them: nobody is refused for what they end with."""


class Shadows:
    """Of one service.

    Args:
        most_bytes: That their questions and rows hold, of all models together.
    """

    def __init__(self, remembering: Remembering, limits: ImageLimits, most_bytes: int) -> None:
        self._remembering = remembering
        self._decoding = Decoding(limits, at_once=1)
        self._admission = Admission(most_bytes)
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(
        self, server: ModelServer, questions: Questions, outcomes: Sequence[RowOutcome], by: str | None
    ) -> None:
        """Ask the shadow, if there is one and room for it, what was answered; nobody waits for it."""
        shadow = server.shadow
        told = {number: each for number, each in enumerate(outcomes) if isinstance(each, Prediction)}
        if shadow is None or not told or len(self._tasks) >= _AT_ONCE:
            return
        asking = self._ask(server, shadow, questions, told, by)
        task = asyncio.create_task(asking, name=f"shadow of {server.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for none of them any longer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(
        self,
        server: ModelServer,
        shadow: LoadedVersion,
        questions: Questions,
        told: dict[int, Prediction],
        by: str | None,
    ) -> None:
        started = time.perf_counter()
        try:
            answers = await self._answers(server, shadow, questions, told)
            seconds = time.perf_counter() - started
            outcomes = await outcomes_of(answers, Role.SHADOW, shadow, server, seconds)
            await self._store(server, shadow, list(told.values()), outcomes, by)
        except (QueueFull, PayloadTooLarge):
            return  # there is no memory for it
        except Exception:  # a mistake of ours: nobody else would tell
            logger.exception("%s: its shadow is not asked", server.name)

    async def _answers(
        self, server: ModelServer, shadow: LoadedVersion, questions: Questions, told: dict[int, Prediction]
    ) -> list[Answer]:
        """Of each row that was answered. Raises QueueFull or PayloadTooLarge."""
        until = asyncio.get_running_loop().time() + server.options.time_limit_seconds
        wanted = Wanted(server.name, questions.count, questions.size_bytes, sys.maxsize, 1.0)
        with self._admission.admitted(wanted) as place, shadow.being_asked():
            try:
                decoded = await self._decoding.decoded(questions, shadow.answering.declaration, until)
            except ServiceError as error:
                return [error for _ in told]
            place.hold(decoded.size_bytes)
            rows = [decoded.rows[number] for number in told]
            left_seconds = until - asyncio.get_running_loop().time()
            good = [row for row in rows if isinstance(row, Row)]
            found = iter(await shadow.batcher.answer(good, left_seconds, CALLER) if good else [])
            return [next(found) if isinstance(row, Row) else row for row in rows]

    async def _store(
        self,
        server: ModelServer,
        shadow: LoadedVersion,
        told: Sequence[Prediction],
        outcomes: Sequence[RowOutcome],
        by: str | None,
    ) -> None:
        writer, version = self._remembering.writer, shadow.version.version
        records = []
        for prediction, outcome in zip(told, outcomes, strict=True):
            if not isinstance(outcome, Prediction):
                writer.count(server.name, version, Role.SHADOW, errors=1)
                continue
            agrees = _says(outcome) == _says(prediction)
            record = self._remembering.record(server, ({}, ()), outcome, by)
            records.append(record.model_copy(update={"shadow_of": prediction.id, "agrees": agrees}))
            figures = {"agreed" if agrees else "differed": 1}
            seconds = outcome.timing.answering_seconds
            writer.count(server.name, version, Role.SHADOW, predictions=1, seconds=seconds, **figures)
        await writer.store(records)


def _says(prediction: Prediction) -> Any:
    return prediction.label if prediction.label is not None else prediction.answer
