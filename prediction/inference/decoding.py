"""Questions made into rows: few at once, in threads, and no longer than somebody waits for them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import ServiceError
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.declaration.pictures import ImageField
from prediction.inference.images.limits import ImageLimits
from prediction.inference.model_process.frames import Row
from prediction.inference.questions import Questions
from prediction.inference.queue.batching import RowLate
from prediction.inference.queue.sizes import row_bytes

_QUICK_FIELDS = 500
"""Of all rows together that are read where they come; they take a few milliseconds."""


@dataclass(frozen=True)
class Decoded:
    """Rows of a question, or why one is nothing for the model.

    Attributes:
        sizes: Bytes of each of `good`.
    """

    rows: Sequence[Row | ServiceError]
    sizes: Sequence[int]

    @property
    def good(self) -> list[Row]:
        return [row for row in self.rows if isinstance(row, Row)]

    @property
    def size_bytes(self) -> int:
        return sum(self.sizes)


class Decoding:
    """Args:
    at_once: Questions: an image may have many more bytes when it is decoded.
    """

    def __init__(self, limits: ImageLimits, at_once: int) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(at_once)

    async def decoded(self, questions: Questions, declaration: Declaration, until: float) -> Decoded:
        """What a version with this declaration is given.

        Args:
            until: By the event loop's clock.
        Raises:
            RowLate: It was not decoded by then. What is being decoded keeps its place until its thread has
                ended, and no further image is: nor for who is cancelled.
            ImagesTooLarge, InvalidInputs: The question as a whole is nothing for it.
        """
        if not (questions.is_slow or has_images(declaration) or has_many_fields(questions, declaration)):
            return _decoded(questions, declaration, self._limits)
        limits = self._limits.of_one_question()
        try:
            async with asyncio.timeout_at(until):
                await self._places.acquire()
                work = asyncio.to_thread(_decoded, questions, declaration, limits)
                working = asyncio.create_task(work, name="decoding")
                working.add_done_callback(self._ended)
                return await asyncio.shield(working)
        except TimeoutError as error:
            raise RowLate("The question was not decoded in time (time_limit_seconds).") from error
        finally:
            if limits.room is not None:
                limits.room.close()

    def _ended(self, working: "asyncio.Task[Decoded]") -> None:
        self._places.release()
        if not working.cancelled():
            working.exception()  # it is looked at here, in case that nobody waits any more


def has_images(declaration: Declaration) -> bool:
    """Whether rows of a version take decoding."""
    return any(isinstance(each, ImageField) for each in declaration.inputs.values())


def has_many_fields(questions: Questions, declaration: Declaration) -> bool:
    """Whether reading takes long however little is asked: each row has each field's value or error."""
    return questions.count * len(declaration.inputs) > _QUICK_FIELDS


def _decoded(questions: Questions, declaration: Declaration, limits: ImageLimits) -> Decoded:
    rows = questions.rows(declaration, limits)
    return Decoded(rows, [row_bytes(row) for row in rows if isinstance(row, Row)])
