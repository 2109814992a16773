"""Answers of a version as outputs of the protocol, in JSON or as bytes behind it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prediction.inference.declaration.json_values import LEAST_INTEGER, MOST_INTEGER
from prediction.inference.declaration.nested import flattened
from prediction.inference.declaration.problems import InvalidInputs, Misfit, Problem, shown_name
from prediction.inference.open_inference.datatypes import BYTES, NUMPY, bytes_of_elements
from prediction.inference.open_inference.requests import InferenceRequest

ONLY_OUTPUT = "output"
"""Name of the output of a version whose answers are no objects."""


@dataclass(frozen=True)
class InferenceBody:
    content: bytes
    json_length: int | None
    """For the header HEADER_LENGTH; None: all of it is JSON."""


@dataclass(frozen=True)
class Output:
    """The same key of all rows' answers.

    Args:
        values: Flat, in the order of the shape, whose first dimension counts rows.
    """

    name: str
    datatype: str
    shape: list[int]
    values: list[Any]


def outputs_of(answers: Sequence[Any]) -> list[Output]:
    """An output for each key of the answers, or one where they are no objects.

    Numbers, booleans and texts, or equally nested lists of them, keep their datatype (INT64, FP64, BOOL,
    BYTES); everything else is written as JSON, one text a row.
    """
    if answers and all(isinstance(each, dict) for each in answers):
        names = list(dict.fromkeys(name for each in answers for name in each))
        return [_output(name, [each.get(name) for each in answers]) for name in names]
    return [_output(ONLY_OUTPUT, list(answers))]


def write_answers(
    answers: Sequence[Any], request: InferenceRequest, *, model_name: str, model_version: str | None = None
) -> InferenceBody:
    """The body of a response, with the outputs that were asked for, as they were asked for.

    Args:
        answers: One for each row of the request.
    Raises:
        InvalidInputs: The request asks for an output that there is not.
    """
    by_name = {each.name: each for each in outputs_of(answers)}
    asked = dict.fromkeys(by_name, request.binary) if request.outputs is None else request.outputs
    unknown = [name for name in asked if name not in by_name]
    if unknown:
        known = ", ".join(by_name)
        raise InvalidInputs(Problem(shown_name(name), f"is no output; there are {known}") for name in unknown)
    described: list[Mapping[str, Any]] = []
    pieces: list[bytes] = []
    for name, binary in asked.items():
        output = by_name[name]
        entry: dict[str, Any] = {"name": name, "datatype": output.datatype, "shape": output.shape}
        if binary:
            pieces.append(_as_bytes(output))
            entry["parameters"] = {"binary_data_size": len(pieces[-1])}
        else:
            entry["data"] = output.values
        described.append(entry)
    head: dict[str, Any] = {"model_name": model_name, "outputs": described}
    if model_version is not None:
        head["model_version"] = model_version
    if request.id is not None:
        head["id"] = request.id
    text = json.dumps(head, allow_nan=False).encode()
    return InferenceBody(b"".join([text, *pieces]), len(text) if pieces else None)


def _output(name: str, rows: list[Any]) -> Output:
    try:
        shape, flat = flattened(rows)
    except Misfit:
        shape, flat = (), []
    datatype = _datatype(flat)
    if datatype is None:
        return Output(name, BYTES, [len(rows)], [json.dumps(each, ensure_ascii=False) for each in rows])
    return Output(name, datatype, list(shape), [float(each) for each in flat] if datatype == "FP64" else flat)


def _datatype(flat: list[Any]) -> str | None:
    """What all values have in common, and None where that is nothing."""
    kinds = set(map(type, flat))
    if kinds == {bool}:
        return "BOOL"
    if kinds == {str}:
        return BYTES
    if not kinds or not kinds <= {int, float}:
        return None
    if any(not LEAST_INTEGER <= each <= MOST_INTEGER for each in flat if isinstance(each, int)):
        return None
    return "FP64" if float in kinds else "INT64"


def _as_bytes(output: Output) -> bytes:
    if output.datatype == BYTES:
        return bytes_of_elements(output.values)
    dtype = np.dtype(NUMPY[output.datatype]).newbyteorder("<")
    return np.array(output.values, dtype=dtype).tobytes()
