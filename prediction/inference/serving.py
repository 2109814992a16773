"""Asking a model: the story from a question to its answer, top to bottom."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence

from common.errors import InvalidRequest
from common.instruments import ANSWERED, FULL, NO_ANSWER, Instruments, unscraped
from common.timing import FAILED
from prediction.inference.decoding import Decoded, Decoding
from prediction.inference.images.limits import ImageLimits
from prediction.inference.model_process.frames import Row
from prediction.inference.outcomes import Answer, Remembering, outcomes_of
from prediction.inference.questions import Prediction, Questions, RowOutcome
from prediction.inference.queue.admission import Admission, Place, QueueFull, Wanted
from prediction.inference.queue.breaker import VersionBroken
from prediction.inference.records.documents import Role
from prediction.inference.records.writer import RecordWriter
from prediction.inference.served.documents import VersionOrAlias
from prediction.inference.served.loading import LoadedVersion
from prediction.inference.served.model_server import ModelServer
from prediction.inference.served.models import ServedModels
from prediction.inference.shadows import Shadows

_DECODED_AT_ONCE = 2

_SHADOWS_SHARE = 4
"""What questions may hold in memory is so many times what those of shadows may, beside them."""


class Serving:
    """Answers questions, of one service."""

    def __init__(
        self,
        models: ServedModels,
        admission: Admission,
        writer: RecordWriter,
        *,
        most_rows: int,
        keep_days: float,
        image_limits: ImageLimits,
        instruments: Instruments | None = None,
    ) -> None:
        """Args:
        most_rows: Of one request.
        keep_days: For which predictions without feedback are remembered.
        """
        self.models = models
        self.admission = admission
        self.writer = writer
        self.most_rows = most_rows
        self._image_limits = image_limits
        self._instruments = instruments or unscraped()
        self._decoding = Decoding(image_limits, _DECODED_AT_ONCE)
        self._drawing = asyncio.Semaphore(1)
        self._trials: set[asyncio.Task[None]] = set()
        self._remembering = Remembering(writer, keep_days)
        self._shadows = Shadows(self._remembering, image_limits, admission.most_bytes // _SHADOWS_SHARE)

    async def ask(
        self,
        model: str,
        questions: Questions,
        *,
        by: str | None = None,
        wanted: VersionOrAlias | None = None,
    ) -> list[RowOutcome]:
        """An answer, or why there is none, for each question in order; who is cancelled is not computed for.

        All of it has one deadline: `time_limit_seconds` of the model, from now on or, where it has to be
        loaded, from when it is.

        Args:
            by: Who asks.
            wanted: Which version is to answer, where not the one that is chosen.
        Raises:
            InvalidRequest: Nothing is asked, or too much at once.
            ModelNotServed, NotReady, VersionNotServable: Nothing answers.
            QueueFull: Too much waits, or too much of whoever asks.
            RowLate: It was not even decoded in time.
            ImagesTooLarge, InvalidInputs: The question as a whole is nothing for the version.
        """
        self._check_count(questions)
        started = time.perf_counter()
        server = await self.models.server(model)
        deadline = _Deadline(server, started)
        with (
            self._refusals_counted(questions.count),
            self.admission.admitted(self._place(server, questions, by)) as place,
        ):
            asked = (server, questions, place, deadline, by, wanted)
            found = await self._answered(*asked)
            if found is None:
                found = await self._answered(*asked, may_be_canary=False)
            assert found is not None, "what serves is not left for another version"
            loaded, outcomes = found
        self._count(outcomes, time.perf_counter() - started)
        await self._remembering.remember(server, loaded, questions, outcomes, by, deadline.left_seconds)
        self._shadows.ask(server, questions, outcomes, by)
        return outcomes

    async def _answered(
        self,
        server: ModelServer,
        questions: Questions,
        place: Place,
        deadline: "_Deadline",
        by: str | None,
        wanted: VersionOrAlias | None,
        *,
        may_be_canary: bool = True,
    ) -> tuple[LoadedVersion, list[RowOutcome]] | None:
        """Which version was asked, and what became of each row. Raises what `ask` does.

        Returns:
            None where a canary was chosen that takes no more than a row for a trial, for which nobody waits:
            all of them are the version's then that serves, as a request is answered by one.
        """
        patience_seconds = deadline.left_seconds
        async with server.asking(patience_seconds, wanted, by or "", may_be_canary=may_be_canary) as (
            role,
            loaded,
        ):
            deadline.begin()
            decoded = await self._decoding.decoded(questions, loaded.answering.declaration, deadline.at)
            place.hold(decoded.size_bytes)
            is_chosen = role is Role.CANARY and wanted is None
            if is_chosen and len(decoded.good) > 1 and loaded.batcher.breaker.takes_a_trial(by or ""):
                self._try_out(loaded, decoded.good[0], by or "", deadline.left_seconds)
                return None
            answers = await _answers(decoded, loaded, deadline, by)
            if is_chosen and any(isinstance(each, VersionBroken) for each in answers):
                return None
            seconds = time.perf_counter() - deadline.started
            return loaded, await outcomes_of(answers, role, loaded, server, seconds, deadline.loading_seconds)

    def _try_out(self, loaded: LoadedVersion, row: Row, caller: str, seconds: float) -> None:
        """Ask it a row, of which nobody is told."""

        async def ask() -> None:
            with loaded.being_asked():
                await loaded.batcher.answer([row], seconds, caller)

        task = asyncio.create_task(ask(), name=f"{loaded.version.id} is tried")
        self._trials.add(task)
        task.add_done_callback(self._trials.discard)

    async def small_picture(self, content: bytes) -> bytes:
        """A PNG of an image, for people; no question waits for it. Raises UnreadableImage."""
        async with self._drawing:
            return await asyncio.to_thread(_drawn, content, self._image_limits)

    async def close(self) -> None:
        """Wait for shadows and trials no longer; store what was counted."""
        for task in self._trials:
            task.cancel()
        await asyncio.gather(*self._trials, return_exceptions=True)
        await self._shadows.close()
        await self.writer.close()

    def _check_count(self, questions: Questions) -> None:
        if not 1 <= questions.count <= self.most_rows:
            raise InvalidRequest(
                f"{questions.count} rows are asked; one question has from 1 to {self.most_rows} of them"
                " (SERVING_MAX_ROWS). For more, ask with a file: docs/serving.md."
            )

    def _place(self, server: ModelServer, questions: Questions, by: str | None) -> Wanted:
        primary = server.roles.get(Role.PRIMARY)
        return Wanted(
            model=server.name,
            rows=questions.count,
            size_bytes=questions.size_bytes,
            most_rows=server.options.max_queue_rows + server.options.max_batch_rows,
            seconds_each=primary.batcher.seconds_each if primary is not None else 1.0,
            caller=by or "",
        )

    @contextlib.contextmanager
    def _refusals_counted(self, rows: int) -> Iterator[None]:
        try:
            yield
        except QueueFull:
            self._instruments.count_rows(FULL, rows)
            raise

    def _count(self, outcomes: Sequence[RowOutcome], seconds: float) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Prediction):
                self._instruments.count_rows(ANSWERED)
            else:
                self._instruments.count_rows(FAILED if outcome.status >= 500 else NO_ANSWER)
        self._instruments.observe_question(seconds)


class _Deadline:
    """Until when a question is to be answered, by the event loop's clock."""

    def __init__(self, server: ModelServer, started: float) -> None:
        """Args:
        started: When the question came, by `time.perf_counter`.
        """
        self.started = started
        self.loading_seconds = 0.0
        """Until something was there to answer."""
        self._has_begun = False
        self._limit_seconds = server.options.time_limit_seconds
        is_asleep = Role.PRIMARY not in server.roles
        self._clock = asyncio.get_running_loop().time
        self.at = self._clock() + self._limit_seconds
        if is_asleep:
            self.at += server.options.load_limit_seconds

    def begin(self) -> None:
        """From now on it can be answered: what is left of the time to load is nobody's."""
        if not self._has_begun:
            self._has_begun = True
            self.loading_seconds = time.perf_counter() - self.started
            self.at = min(self.at, self._clock() + self._limit_seconds)

    @property
    def left_seconds(self) -> float:
        return max(0.0, self.at - self._clock())


async def _answers(
    decoded: Decoded, loaded: LoadedVersion, deadline: _Deadline, by: str | None
) -> list[Answer]:
    good = decoded.good
    found: Iterator[Answer] = iter(())
    if good:
        found = iter(await loaded.batcher.answer(good, deadline.left_seconds, by or "", decoded.sizes))
    return [next(found) if isinstance(row, Row) else row for row in decoded.rows]


def _drawn(content: bytes, limits: ImageLimits) -> bytes:
    # Loaded by the first picture, in its thread.
    from prediction.inference.images.preview import small_png

    return small_png(content, limits)
