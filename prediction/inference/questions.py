"""What is asked, what is answered: one row of each."""

import base64
import binascii
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from common.errors import ServiceError
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.declaration.pictures import ImageField
from prediction.inference.declaration.problems import Guesses
from prediction.inference.declaration.rows import under_names
from prediction.inference.images.limits import ImageLimits, ImagesTooLarge
from prediction.inference.model_process.frames import Row
from prediction.inference.queue.sizes import QUICK_BYTES, json_bytes
from prediction.inference.records.documents import Role, StoredFile

Kept = tuple[Mapping[str, Any], Sequence[StoredFile]]
"""What is remembered of a row: values that are JSON, and files."""


class Questions(Protocol):
    """Rows that are asked together, before it is known of which version."""

    @property
    def count(self) -> int:
        """Rows."""
        ...

    @property
    def size_bytes(self) -> int:
        """About what they hold in memory."""
        ...

    @property
    def is_slow(self) -> bool:
        """Whether `rows` may take long even where the version has no images."""
        ...

    def rows(self, declaration: Declaration, limits: ImageLimits) -> list[Row | ServiceError]:
        """What the model is given, or why a row is nothing for it; it blocks.

        Raises:
            ImagesTooLarge: All of them together.
            InvalidInputs: It is nothing as a whole.
        """
        ...

    def kept(self, number: int, declaration: Declaration) -> Kept:
        """What is remembered of a row."""
        ...


@dataclass(frozen=True)
class Question:
    """One row, as it came."""

    values: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Uploads by the field's name; where there is but one image, by any of the names that clients use."""
    is_text: bool = False
    """Whether values are texts, as those of forms are, which stand for what their fields declare."""

    @property
    def size_bytes(self) -> int:
        """About what it holds in memory."""
        return 512 + sum(len(content) for content in self.files.values()) + json_bytes(self.values)


@dataclass(frozen=True)
class QuestionList:
    """Questions of one request; each is read, and fails, by itself."""

    questions: Sequence[Question]
    body_bytes: int = 0
    """Of the request that they came in; 0: it is not known."""

    @property
    def count(self) -> int:
        return len(self.questions)

    @property
    def size_bytes(self) -> int:
        return self.body_bytes or sum(question.size_bytes for question in self.questions)

    @property
    def is_slow(self) -> bool:
        return self.body_bytes > QUICK_BYTES or any(question.files for question in self.questions)

    def rows(self, declaration: Declaration, limits: ImageLimits) -> list[Row | ServiceError]:
        guesses = Guesses()
        return [_row(question, declaration, limits, guesses) for question in self.questions]

    def kept(self, number: int, declaration: Declaration) -> Kept:
        """Images that came as text in JSON are files, too."""
        question = self.questions[number]
        values = dict(question.values)
        named = under_names(declaration.inputs, question.values, question.files)
        files = [StoredFile(field=name, content=content) for name, content in named.items()]
        for name, each in declaration.inputs.items():
            if isinstance(each, ImageField) and isinstance(text := values.get(name), str):
                with contextlib.suppress(binascii.Error, ValueError):
                    content = base64.b64decode(text.partition(",")[2] or text)
                    files.append(StoredFile(field=name, content=content))
                    del values[name]
        return values, files


def _row(
    question: Question, declaration: Declaration, limits: ImageLimits, guesses: Guesses
) -> Row | ServiceError:
    try:
        return declaration.row(
            question.values, question.files, lenient=question.is_text, limits=limits, guesses=guesses
        )
    except ImagesTooLarge:
        raise
    except ServiceError as error:
        return error


@dataclass(frozen=True)
class Timing:
    """Milliseconds of an answer."""

    total: float
    compute: float
    """Of the batch that it was part of, in the model."""
    loading: float = 0.0
    """That the question waited for the model to be there; a part of the total, and nothing of its mean."""

    @property
    def answering_seconds(self) -> float:
        """From when the model was there to its answer."""
        return (self.total - self.loading) / 1000


@dataclass
class Prediction:
    """One answer."""

    id: str | None
    """To give feedback by; None: it is not remembered."""
    model: str
    version: int
    role: Role
    answer: Any
    label: str | None
    confidence: float | None
    scores: Mapping[str, float] | None
    timing: Timing
    notes: list[str]
    """What whoever asked has to know of it, as that the store is away."""
    size_bytes: int = 0
    """About what the answer takes."""


RowOutcome = Prediction | ServiceError
