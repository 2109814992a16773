"""Served models and predictions as the API shows them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from common.errors import ServiceError
from common.models.versions import ModelVersion, VersionState
from common.mongo.document import UtcTime
from common.wire.specs import WireModel
from prediction.inference.model_process.plain import NoJson, to_json
from prediction.inference.questions import Prediction, RowOutcome
from prediction.inference.records.documents import Feedback, PredictionRecord, Role, Verdict, VersionFigures
from prediction.inference.served.documents import ServedModel, ServingOptions
from prediction.inference.served.model_server import ModelServer
from prediction.inference.served.readiness import ServerState
from routers.pagination import Hint, Unreadable

_MOST_LEVELS = 200
"""Of a stored answer in what answers here: pydantic writes 255."""


class TimingView(WireModel):
    """Milliseconds of an answer."""

    total: float
    compute: float
    """Of the batch that it was part of, in the model."""
    loading: float
    """That it waited for the model to be there; a part of the total, and of no mean."""


class PredictionView(WireModel):
    """One answer."""

    prediction_id: str | None
    """To give feedback by; null: it is not remembered, and `notes` say why."""
    model: str
    version: int
    role: Role
    answer: Any
    """As the model gives it."""
    label: str | None
    confidence: float | None
    """From 0 to 1."""
    scores: dict[str, float] | None
    """Of the likeliest labels."""
    timing_milliseconds: TimingView
    notes: list[str]

    @classmethod
    def of(cls, found: Prediction) -> "PredictionView":
        return cls(
            prediction_id=found.id,
            model=found.model,
            version=found.version,
            role=found.role,
            answer=found.answer,
            label=found.label,
            confidence=found.confidence,
            scores=None if found.scores is None else dict(found.scores),
            timing_milliseconds=TimingView(**asdict(found.timing)),
            notes=found.notes,
        )


class FailedRow(WireModel):
    """Why a row has no answer, as a request of it alone would be told."""

    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] = Field(default_factory=list)
    """What is wrong with which field, where that is why."""

    @classmethod
    def of(cls, error: ServiceError) -> "FailedRow":
        errors = error.members.get("errors", [])
        return cls(title=error.title, status=error.status, detail=str(error), errors=errors)


class RowError(WireModel):
    error: FailedRow


class Predictions(WireModel):
    """Answers to several rows, in their order; each has its own, or its own error."""

    predictions: list[PredictionView | RowError]

    @classmethod
    def of(cls, outcomes: Sequence[RowOutcome]) -> "Predictions":
        return cls(
            predictions=[
                PredictionView.of(each)
                if isinstance(each, Prediction)
                else RowError(error=FailedRow.of(each))
                for each in outcomes
            ]
        )


class GiveFeedback(WireModel):
    """What somebody says of a prediction."""

    prediction_id: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    verdict: Verdict | None = None
    """Left out where `label` says it: right, if it is the prediction's."""
    label: Annotated[str, StringConstraints(max_length=1000)] | None = None
    """The right one."""
    note: Annotated[str, StringConstraints(max_length=4000)] = ""


class FiguresView(WireModel):
    """How a version does, of all services together; shown a second or so late."""

    role: Role
    predictions: int = 0
    errors: int = 0
    mean_milliseconds: float | None = None
    right: int = 0
    wrong: int = 0
    accuracy: float | None = None
    """Share of what people said something of that was right, from 0 to 1."""
    agreed: int = 0
    differed: int = 0
    last_at: UtcTime | None = None

    @classmethod
    def of(cls, figures: VersionFigures) -> "FiguresView":
        seconds = figures.mean_seconds
        return cls(
            **figures.model_dump(exclude={"id", "model", "version", "seconds", "first_at"}),
            mean_milliseconds=None if seconds is None else round(seconds * 1000, 3),
            accuracy=figures.accuracy,
        )


class VersionInUse(WireModel):
    version: int
    kind: str
    """`onnx` or `python`."""
    role: Role
    replicas: int
    waiting_rows: int
    batches: int
    rows: int
    """That this service has answered since it loaded the version."""
    deaths: int
    """Processes of it that ended with a row."""
    is_broken: bool
    """Whether it has failed so often that it is left alone for a while."""
    checks: int
    """Questions of its signature.json that it answered as it should before it took over."""
    warnings: list[str]
    """Keys of its signature.json that nobody reads."""


class VersionLive(WireModel):
    """A version with the figures that it was trained with, and those that it has since."""

    version: int
    state: VersionState | None
    """Null: what is stored of it cannot be read."""
    trained_with: dict[str, float]
    live: list[FiguresView]


class ServedModelView(WireModel):
    """How a model is served, and what answers for it in this service."""

    model: str
    options: ServingOptions
    updated_at: UtcTime
    by: str | None
    state: ServerState
    loaded: list[VersionInUse]
    notes: list[str]

    @classmethod
    def fields_of(cls, served: ServedModel, server: ModelServer | None) -> dict[str, Any]:
        return {
            **served.model_dump(by_alias=False, include={"model", "options", "updated_at", "by"}),
            "state": server.state if server is not None else ServerState.ASLEEP,
            "loaded": _in_use(server) if server is not None else [],
            "notes": server.notes if server is not None else [],
        }

    @classmethod
    def of(cls, served: ServedModel, server: ModelServer | None) -> "ServedModelView":
        return cls(**cls.fields_of(served, server))


class ServedModelPage(WireModel):
    items: list[ServedModelView]
    next_cursor: str | None
    hint: Hint = None


class FieldView(WireModel):
    """Something that the model is asked with."""

    name: str
    type: str
    required: bool
    default: Any = None
    choices: list[Any] | None = None
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""


class ServedModelDetails(ServedModelView):
    fields: list[FieldView]
    """What the version that serves is asked with; empty: any keys."""
    takes_any_keys: bool
    example: dict[str, Any]
    """`inputs` of a question."""
    versions: list[VersionLive]
    """The latest ones, and of earlier ones those that were asked or that an alias names; the latest first."""


class PredictionRecordView(WireModel):
    """A prediction that is remembered."""

    id: str
    version: int
    role: Role
    at: UtcTime
    by: str | None
    inputs: dict[str, Any] | None
    files: list[str] = Field(default_factory=list)
    answer: Any
    label: str | None
    confidence: float | None
    shadow_of: str | None
    agrees: bool | None
    feedback: Feedback | None

    @classmethod
    def of(cls, record: PredictionRecord) -> "PredictionRecordView":
        """Raises NoJson: an answer of before answers had a depth nests deeper than can be written."""
        names = set(cls.model_fields) - {"inputs", "answer", "files"}
        return cls(
            **record.model_dump(by_alias=False, include=names),
            inputs=None if record.inputs_json is None else json.loads(record.inputs_json),
            answer=_stored_answer(record.answer_json),
            files=[file.field for file in record.files],
        )


class JudgedPrediction(WireModel):
    """A prediction of which somebody has said whether it was right."""

    id: str
    model: str
    version: int
    role: Role
    at: UtcTime
    label: str | None
    """What the model said."""
    confidence: float | None
    feedback: Feedback | None
    """What was said of it."""
    notes: list[str] = Field(default_factory=list)
    """What whoever said it has to know of it."""

    @classmethod
    def of(cls, record: PredictionRecord, notes: Sequence[str] = ()) -> "JudgedPrediction":
        return cls(
            **record.model_dump(by_alias=False, include=set(cls.model_fields) - {"notes"}), notes=list(notes)
        )


class PredictionPage(WireModel):
    items: list[PredictionRecordView]
    next_cursor: str | None
    hint: Hint = None
    unreadable: Unreadable


class Ended(WireModel):
    model: str
    state: Literal["NOT_SERVED"] = "NOT_SERVED"


def record_views(
    records: Sequence[PredictionRecord],
) -> tuple[list[PredictionRecordView], list[str]]:
    """Predictions as they are shown, and ids of those whose answers nest too deep for it."""
    views, unreadable = [], []
    for record in records:
        try:
            views.append(PredictionRecordView.of(record))
        except NoJson:
            unreadable.append(record.id)
    return views, unreadable


def _stored_answer(text: str | None) -> Any:
    """Raises NoJson."""
    if text is None:
        return None
    try:
        return to_json(json.loads(text), levels=_MOST_LEVELS)
    except RecursionError as error:
        raise NoJson("it is nested too deep") from error


def live_versions(versions: Sequence[ModelVersion], figures: Sequence[VersionFigures]) -> list[VersionLive]:
    """Each version with its figures, the latest first.

    Args:
        versions: All that there are figures of, and others.
    """
    by_version: dict[int, list[FiguresView]] = {}
    for each in figures:
        by_version.setdefault(each.version, []).append(FiguresView.of(each))
    stored = {each.version: each for each in versions}
    return [
        _live(number, stored.get(number), by_version.get(number, []))
        for number in sorted({*by_version, *stored}, reverse=True)
    ]


def _live(number: int, version: ModelVersion | None, live: list[FiguresView]) -> VersionLive:
    program = version.program if version is not None else None
    return VersionLive(
        version=number,
        state=version.state if version is not None else None,
        trained_with=program.metrics if program is not None else {},
        live=live,
    )


def _in_use(server: ModelServer) -> list[VersionInUse]:
    return [
        VersionInUse(
            version=loaded.version.version,
            kind=loaded.answering.kind,
            role=role,
            replicas=loaded.deployment.replicas,
            waiting_rows=loaded.batcher.waiting,
            batches=loaded.batcher.batches,
            rows=loaded.batcher.rows,
            deaths=loaded.batcher.breaker.deaths,
            is_broken=loaded.batcher.breaker.is_open,
            checks=len(loaded.answering.declaration.checks),
            warnings=list(loaded.answering.declaration.warnings),
        )
        for role, loaded in server.roles.items()
    ]
