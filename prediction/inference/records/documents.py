"""What is stored of predictions."""

from enum import StrEnum

from pydantic import BaseModel, Field

from common.mongo.document import Document, UtcTime, utc_now

KEPT_BYTES = 64 * 1024
"""Of an answer, and of values, as JSON, that are remembered; what is larger is answered and forgotten."""

KEPT_FILES_BYTES = 8 << 20
"""Of what was uploaded with a question, all together; of more nothing is kept."""


class Role(StrEnum):
    """What a version was asked as."""

    PRIMARY = "primary"
    CANARY = "canary"
    """A share of the requests is answered by it."""
    SHADOW = "shadow"
    """Asked the same as another version, and nobody was given its answer."""


class Verdict(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"


class Feedback(BaseModel):
    """What somebody says of a prediction."""

    verdict: Verdict
    label: str | None = None
    """The right one, where it is known."""
    note: str = ""
    at: UtcTime = Field(default_factory=utc_now)
    by: str | None = None


class StoredFile(BaseModel):
    """What was uploaded with a question, as it came."""

    field: str
    content: bytes = b""
    """Empty in lists."""


class PredictionRecord(Document):
    """One row that was asked, and its answer."""

    id: str = Field(alias="_id")
    model: str
    version: int
    role: Role = Role.PRIMARY
    shadow_of: str | None = None
    """Of a shadow's: the prediction that was answered."""
    agrees: bool | None = None
    """Of a shadow's: whether both said the same."""
    at: UtcTime = Field(default_factory=utc_now)
    by: str | None = None
    """Who asked."""
    inputs_json: str | None = None
    """The values it was asked with, as JSON: names and numbers of any kind, which MongoDB has not. Null: they
    were too large, or are not kept."""
    files: list[StoredFile] = Field(default_factory=list)
    """Empty where they are not kept."""
    answer_json: str | None = None
    """Null: it was too large."""
    label: str | None = None
    confidence: float | None = None
    feedback: Feedback | None = None
    expires_at: UtcTime | None = None
    """When MongoDB forgets it; null: it has feedback, and stays until the model learns from it no more."""


class VersionFigures(Document):
    """How a version does, asked in one role; of all services together."""

    id: str = Field(alias="_id")
    model: str
    version: int
    role: Role
    predictions: int = 0
    """Rows that were answered."""
    errors: int = 0
    """Rows that it failed on: an error of its own, its process's end, or no answer in time."""
    seconds: float = 0.0
    """Of answered rows together, from the question to the answer."""
    right: int = 0
    """What people have said until now, as their words are stored, not counted here; `wrong` likewise."""
    wrong: int = 0
    agreed: int = 0
    """Of a shadow: rows on which it said the same as the version that answered; `differed` likewise."""
    differed: int = 0
    first_at: UtcTime | None = None
    last_at: UtcTime | None = None

    @property
    def mean_seconds(self) -> float | None:
        """From a question to its answer; None where nothing was answered."""
        return self.seconds / self.predictions if self.predictions else None

    @property
    def accuracy(self) -> float | None:
        """Share of what people said something of that was right, from 0 to 1; None: nobody did."""
        told = self.right + self.wrong
        return self.right / told if told else None


def figures_id(model: str, version: int, role: Role) -> str:
    return f"{model}/{version}/{role}"
