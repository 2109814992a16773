"""Requests about models that are served: asking, feedback, and how they are served."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from app.client.answers import Json, ModelVersion, Page, ProgramRun
from app.client.calls import PAGE, Call, given, key_of, path_of
from app.client.serving_answers import (
    JudgedPrediction,
    Prediction,
    PredictionRecord,
    Predictions,
    ServedModel,
    ServedModelDetails,
)


def predict(model: str, inputs: Mapping[str, Any], *, version: int | str | None = None) -> Call[Prediction]:
    """Ask a model one row.

    Args:
        inputs: Values by the names of its fields; the bytes of an image where it wants one.
        version: One of those that are loaded; None: the one that is chosen.
    """
    body = given(inputs=_as_json(inputs), version=version)
    return Call("POST", path_of("serving", model, "predict"), body=body, changes_nothing=True)


def predict_many(
    model: str, rows: Sequence[Mapping[str, Any]], *, version: int | str | None = None
) -> Call[Predictions]:
    """Ask a model several rows at once; each has its own answer under `predictions`, or its own `error`."""
    body = given(inputs=[_as_json(row) for row in rows], version=version)
    return Call("POST", path_of("serving", model, "predict"), body=body, changes_nothing=True)


def give_feedback(
    model: str,
    prediction_id: str,
    *,
    verdict: str | None = None,
    label: str | None = None,
    note: str | None = None,
) -> Call[JudgedPrediction]:
    """Say of a prediction whether it was `right` or `wrong`, and what would have been."""
    body = given(prediction_id=prediction_id, verdict=verdict, label=label, note=note)
    return Call("POST", path_of("serving", model, "feedback"), body=body, changes_nothing=True)


def predictions(model: str, *, limit: int = PAGE, cursor: str | None = None) -> Call[Page[PredictionRecord]]:
    """What a model was asked lately, the latest first."""
    return Call("GET", path_of("serving", model, "predictions"), given(limit=limit, cursor=cursor))


def prediction_file(model: str, prediction_id: str, field: str, *, small: bool | None = None) -> Call[bytes]:
    """An image that was sent with a question, as it came, or as a small PNG."""
    path = path_of("serving", model, "predictions", prediction_id, "files", field)
    return Call("GET", path, given(small=small), is_file=True)


def served_models(*, limit: int = PAGE, cursor: str | None = None) -> Call[Page[ServedModel]]:
    """Those that are served, by name."""
    return Call("GET", "/serving", given(limit=limit, cursor=cursor))


def served_model(model: str) -> Call[ServedModelDetails]:
    """How it is served, what it is asked with, and how its versions do."""
    return Call("GET", path_of("serving", model))


def serve_model(model: str, **options: Any) -> Call[ServedModelDetails]:
    """Serve a model so from now on.

    Args:
        options: Such as `version`, `replicas`, `canary`, `shadow`; what is left out gets its default.
    """
    return Call("PUT", path_of("serving", model), body=options)


def end_serving(model: str) -> Call[Json]:
    """Serve a model no more; its versions stay."""
    return Call("DELETE", path_of("serving", model))


def publish_folder(
    workspace: str, model: str, *, folder: str | None = None, gate: Mapping[str, str] | None = None
) -> Call[ModelVersion]:
    """Make a version of a folder in a workspace; the same files are the same version."""
    body = given(model=model, folder=folder, gate=None if gate is None else dict(gate))
    return Call("POST", path_of("workspaces", workspace, "versions"), body=body, changes_nothing=True)


def answer_file(
    model: str, workspace: str, input: str, *, idempotency_key: str | None = None, **said: Any
) -> Call[ProgramRun]:
    """Answer a file of questions on Spark; the run leaves `answers.jsonl`.

    Args:
        input: A path in the workspace, or a URI.
        said: Further fields, such as `output`, `version`, `max_executors`, `runtime_target_seconds`.
    """
    body = {"workspace": workspace, "input": input, **given(**said)}
    return Call("POST", path_of("serving", model, "bulk"), body=body, headers=key_of(idempotency_key))


def ask_latest(user: str, inputs: Mapping[str, Any]) -> Call[Prediction]:
    """Ask the model that a workspace has made last, as clients in the field do."""
    return Call("POST", path_of("predict", user), body={"inputs": _as_json(inputs)}, changes_nothing=True)


def ask_default(inputs: Mapping[str, Any]) -> Call[Prediction]:
    """Ask the model of SERVING_DEFAULT_MODEL, or the only one that is served."""
    return Call("POST", "/predict", body={"inputs": _as_json(inputs)}, changes_nothing=True)


def classify_digit(image: bytes) -> Call[Prediction]:
    """Which digit an image shows."""
    return Call("POST", "/digits/classify", body={"inputs": _as_json({"image": image})}, changes_nothing=True)


def say_whether_right(
    prediction_id: str, *, correct: bool | None = None, label: str | None = None
) -> Call[JudgedPrediction]:
    """`give_feedback` as clients in the field say it."""
    body = given(prediction_id=prediction_id, correct=correct, label=label)
    return Call("POST", "/feedback", body=body, changes_nothing=True)


def _as_json(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in inputs.items()
    }
