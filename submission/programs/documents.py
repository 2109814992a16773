"""What is stored of a program's run beside its application execution."""

from typing import Any

from pydantic import BaseModel, Field

from common.mongo.document import Document, UtcTime, utc_now

MOST_POINTS = 400
"""Of a curve; with more every other one goes."""


class OutputPart(BaseModel):
    """A piece of a file, kept by its content."""

    sha256: str
    size_bytes: int


class OutputFile(BaseModel):
    """A file that a program has left in ENEL_OUTPUT_DIR."""

    path: str
    """From that folder on, with slashes."""
    size_bytes: int
    sha256: str
    parts: list[OutputPart] = Field(default_factory=list)
    """In order."""


class Output(BaseModel):
    """What a program has left, as its launcher describes it before it is sent."""

    files: list[OutputFile]
    described_at: UtcTime = Field(default_factory=utc_now)
    completed_at: UtcTime | None = None
    """When every part of it was stored; null: it is on its way, or never came."""
    discarded_at: UtcTime | None = None
    """When its files were removed; what they were stays known."""

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    def find(self, path: str) -> OutputFile | None:
        """The file at this path."""
        return next((file for file in self.files if file.path == path), None)


class CurvePoint(BaseModel):
    """Figures that a program reported at one moment."""

    at: UtcTime
    step: float | None = None
    metrics: dict[str, float]


class ProgramRun(Document):
    """What a program's launcher has reported; fields of a run begin anew with every start of its driver."""

    id: str = Field(alias="_id")
    """The application execution id."""
    workspace: str
    created_at: UtcTime = Field(default_factory=utc_now)
    attempt: int = 0
    """Starts of the driver; who reports as an earlier one is refused."""
    started_at: UtcTime | None = None
    """When the launcher of this attempt asked what to run."""
    heard_at: UtcTime | None = None
    """When anything was reported last."""
    silent_seconds: float = 0.0
    """How long the program itself had neither written nor reported anything, by the last report."""
    sequence: int = 0
    """Of the next report."""
    progress: float | None = None
    """From 0 to 1."""
    message: str = ""
    metrics: dict[str, float] = Field(default_factory=dict)
    """The latest of each."""
    curve: list[CurvePoint] = Field(default_factory=list)
    curve_stride: int = 1
    """Of so many points that came one is kept."""
    points: int = 0
    """That came."""
    data: list[str] = Field(default_factory=list)
    """What the program says it has learned from."""
    unreadable_lines: int = 0
    log_bytes: int = 0
    exit_code: int | None = None
    """Where the program did not end well."""
    end_reason: str = ""
    parent_version: int | None = None
    """Of the model: the one that served when this attempt started, and whose files it was given."""
    output: Output | None = None
    has_parts: bool = False
    """Whether parts of an output may lie in the store, of this attempt or an earlier one."""
    unpublished: bool = False
    """Whether a version is still to be made of its output."""
    publisher: str = ""
    """The service that has taken that upon itself."""
    publishing_until: UtcTime | None = None
    """Until when a service has taken that upon itself."""
    version: int | None = None
    """What became of its output, where it became a version of the model."""
    publishing_detail: str = ""
    """Why there is no version, where there should be one."""

    @property
    def files(self) -> list[OutputFile] | None:
        """What the program has left; None: it is not there (yet, or any more)."""
        if self.output is None or self.output.completed_at is None or self.output.discarded_at is not None:
            return None
        return self.output.files


Json = dict[str, Any]
