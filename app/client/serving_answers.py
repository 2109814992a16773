"""What the service answers about models that are served; `/docs` of a running service has every field."""

from typing import Any, TypedDict

from app.client.answers import Json


class Prediction(TypedDict):
    prediction_id: str | None
    model: str
    version: int
    role: str
    answer: Any
    label: str | None
    confidence: float | None
    scores: dict[str, float] | None
    timing_milliseconds: dict[str, float]
    notes: list[str]


class Predictions(TypedDict):
    predictions: list[Any]
    """A `Prediction` each, or `{"error": …}`."""


class JudgedPrediction(TypedDict):
    id: str
    version: int
    role: str
    at: str
    label: str | None
    confidence: float | None
    feedback: Json | None
    notes: list[str]


class PredictionRecord(JudgedPrediction):
    inputs: Json | None
    files: list[str]
    answer: Any


class ServedModel(TypedDict):
    model: str
    options: Json
    state: str
    loaded: list[Json]
    notes: list[str]
    updated_at: str


class ServedModelDetails(ServedModel):
    fields: list[Json]
    takes_any_keys: bool
    example: Json
    versions: list[Json]
