"""What a model says as predictions, and what is remembered of them."""

import json
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from common.errors import ServiceError
from common.mongo.document import utc_now
from prediction.inference.questions import Kept, Prediction, Questions, RowOutcome, Timing
from prediction.inference.queue.batching import RowAnswer, RowFailed
from prediction.inference.queue.sizes import off_the_loop
from prediction.inference.records.documents import (
    KEPT_BYTES,
    KEPT_FILES_BYTES,
    PredictionRecord,
    Role,
    StoredFile,
)
from prediction.inference.records.writer import RecordWriter
from prediction.inference.served.loading import LoadedVersion
from prediction.inference.served.model_server import ModelServer

Answer = RowAnswer | ServiceError


async def outcomes_of(
    answers: Sequence[Answer],
    role: Role,
    loaded: LoadedVersion,
    server: ModelServer,
    seconds: float,
    loading_seconds: float = 0.0,
) -> list[RowOutcome]:
    """What answers mean, as the version's signature says.

    Args:
        seconds: That the question has taken; with those until the model was there.
    """
    size_bytes = sum(each.size_bytes for each in answers if isinstance(each, RowAnswer))
    notes = server.notes

    def interpreted() -> list[RowOutcome]:
        return [_outcome(each, role, loaded, notes, seconds, loading_seconds) for each in answers]

    return await off_the_loop(size_bytes, interpreted)


def _outcome(
    answer: Answer,
    role: Role,
    loaded: LoadedVersion,
    notes: Sequence[str],
    seconds: float,
    loading_seconds: float,
) -> RowOutcome:
    if isinstance(answer, ServiceError):
        return answer
    try:
        said = loaded.answering.declaration.interpret(answer.value)
    except ServiceError as error:
        return error
    return Prediction(
        id=f"p-{secrets.token_hex(12)}",
        model=loaded.version.name,
        version=loaded.version.version,
        role=role,
        answer=answer.value,
        label=said.label,
        confidence=said.confidence,
        scores=said.scores,
        timing=Timing(
            *(round(each * 1000, 3) for each in (seconds, answer.compute_seconds, loading_seconds))
        ),
        notes=list(notes),
        size_bytes=answer.size_bytes,
    )


class Remembering:
    """Of one service."""

    def __init__(self, writer: RecordWriter, keep_days: float) -> None:
        """Args:
        keep_days: For which predictions without feedback are remembered.
        """
        self.writer = writer
        self._keep = timedelta(days=keep_days)

    async def remember(
        self,
        server: ModelServer,
        loaded: LoadedVersion,
        questions: Questions,
        outcomes: Sequence[RowOutcome],
        by: str | None,
        left_seconds: float,
    ) -> None:
        """Store predictions before they are answered; count also what failed.

        Args:
            left_seconds: For storing them, of whoever waits.
        """
        told = {number: each for number, each in enumerate(outcomes) if isinstance(each, Prediction)}
        declaration = loaded.answering.declaration

        def made() -> list[PredictionRecord]:
            return [
                self.record(server, questions.kept(number, declaration), each, by)
                for number, each in told.items()
            ]

        size_bytes = questions.size_bytes + sum(each.size_bytes for each in told.values())
        records = await off_the_loop(size_bytes, made)
        self._count(server, loaded, outcomes)
        if not await self.writer.store(records, left_seconds):
            for prediction in told.values():
                prediction.id = None
                prediction.notes.append("it is not remembered, since the database does not answer")

    def record(
        self, server: ModelServer, asked: Kept, prediction: Prediction, by: str | None
    ) -> PredictionRecord:
        """What is stored of a prediction. It blocks where that is large."""
        keep = server.options.keep_inputs
        values, files = asked
        assert prediction.id is not None, "it has just been made"
        return PredictionRecord(
            id=prediction.id,
            model=prediction.model,
            version=prediction.version,
            role=prediction.role,
            by=by,
            inputs_json=_kept(dict(values)) if keep else None,
            files=list(files) if keep and _fit(files) else [],
            answer_json=_kept(prediction.answer),
            label=prediction.label,
            confidence=prediction.confidence,
            expires_at=utc_now() + self._keep,
        )

    def _count(self, server: ModelServer, loaded: LoadedVersion, outcomes: Sequence[RowOutcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Prediction):
                seconds = outcome.timing.answering_seconds
                self.writer.count(server.name, outcome.version, outcome.role, predictions=1, seconds=seconds)
            elif outcome.status >= 500 or isinstance(outcome, RowFailed):
                role = next((role for role, each in server.roles.items() if each is loaded), Role.PRIMARY)
                self.writer.count(server.name, loaded.version.version, role, errors=1)


def _fit(files: Sequence[StoredFile]) -> bool:
    """Whether a stored document has room for what was uploaded."""
    return sum(len(file.content) for file in files) <= KEPT_FILES_BYTES


def _kept(value: Any) -> str | None:
    try:
        text = to_json(value).decode()
    except PydanticSerializationError:  # half a character, which JSON can hold and UTF-8 cannot
        text = json.dumps(value)
    return text if len(text) <= KEPT_BYTES else None
