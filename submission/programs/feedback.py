"""What people have said of a model's predictions, as its next training is given it.

A folder: `feedback.jsonl`, a line for each prediction, the latest first, and what was uploaded with it below
`files/`. The line names the files by the model's fields.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

from prediction.inference.records.documents import PredictionRecord, Verdict
from prediction.inference.records.repository import PredictionRepository

FEEDBACK_FILE = "feedback.jsonl"
"""Comes last: where it is, all has come."""

_SUFFIXES = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG": ".png",
    b"RIFF": ".webp",
    b"II*\x00": ".tiff",
    b"MM\x00*": ".tiff",
}
"""By what a file begins with."""


async def feedback_files(
    records: PredictionRepository, model: str, limit: int
) -> AsyncIterator[tuple[str, bytes]]:
    """Paths and contents, one at a time in memory.

    Args:
        limit: Predictions, the latest that somebody has said something of.
    """
    lines: list[str] = []
    async for record in records.each_with_feedback(model, limit):
        paths: dict[str, str] = {}
        for file in record.files:
            path = f"files/{record.id}-{len(paths)}{_suffix(file.content)}"
            paths[file.field or "image"] = path
            yield path, file.content
        lines.append(json.dumps(_line(record, paths)))
    yield FEEDBACK_FILE, "".join(f"{line}\n" for line in lines).encode()


def _line(record: PredictionRecord, paths: dict[str, str]) -> dict[str, Any]:
    feedback = record.feedback
    assert feedback is not None, "it was asked for"
    right = feedback.label
    if right is None and feedback.verdict is Verdict.RIGHT:
        right = record.label
    return {
        "prediction_id": record.id,
        "version": record.version,
        "at": record.at.isoformat(),
        "inputs": None if record.inputs_json is None else json.loads(record.inputs_json),
        "files": paths,
        "answer": None if record.answer_json is None else json.loads(record.answer_json),
        "label": record.label,
        "confidence": record.confidence,
        "verdict": feedback.verdict,
        "right_label": right,
        "note": feedback.note,
    }


def _suffix(content: bytes) -> str:
    return next((suffix for start, suffix in _SUFFIXES.items() if content.startswith(start)), "")
