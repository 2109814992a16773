"""Models that are asked: files as training programs leave them, and processes that run them."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np

from prediction.inference.model_process.child import ModelConfig, ModelProcess
from prediction.inference.model_process.frames import (
    Answer,
    Array,
    Row,
    decode_answers,
    encode_request,
)
from prediction.inference.model_process.plain import said_by

MEMORY_BYTES = 1 << 30


def python_file(folder: Path, source: str, name: str = "predict.py") -> ModelConfig:
    """A version of one Python file."""
    (folder / name).write_text(dedent(source))
    return ModelConfig("python", folder, name)


def array(values: Any) -> Array:
    """What of a numpy array travels."""
    values = np.asarray(values)
    return Array(values.dtype.name, values.shape, values.tobytes())


@contextlib.asynccontextmanager
async def running(
    config: ModelConfig, *, memory_bytes: int = MEMORY_BYTES, load_seconds: float = 30
) -> AsyncIterator[ModelProcess]:
    model = await ModelProcess.start(config, None, memory_bytes, load_seconds)
    try:
        yield model
    finally:
        await model.close()


async def answers(model: ModelProcess, *rows: Mapping[str, Any], limit_seconds: float = 30) -> list[Answer]:
    """What it answers to rows of plain values and Arrays, as JSON."""
    frame = encode_request([as_row(row) for row in rows])
    found = decode_answers(await model.ask(frame, limit_seconds)).answers
    return [Answer(said_by(answer), error=answer.error) for answer in found]


async def values(model: ModelProcess, *rows: Mapping[str, Any]) -> list[Any]:
    """The same, where no row is an error."""
    found = await answers(model, *rows)
    assert not [answer.error for answer in found if answer.error]
    return [answer.value for answer in found]


async def errors(model: ModelProcess, *rows: Mapping[str, Any]) -> list[str | None]:
    return [answer.error for answer in await answers(model, *rows)]


def as_row(fields: Mapping[str, Any]) -> Row:
    return Row(
        {name: value for name, value in fields.items() if not isinstance(value, Array)},
        {name: value for name, value in fields.items() if isinstance(value, Array)},
        tuple(fields),
    )
