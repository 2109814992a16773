"""Asks a version that was loaded what its signature.json says it answers, before it takes over."""

import asyncio
from collections.abc import Sequence

from common.errors import ServiceError
from common.models.versions import ModelVersion
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.declaration.problems import InvalidInputs
from prediction.inference.model_process.frames import Row
from prediction.inference.queue.batching import Batcher, RowAnswer, RowFailed
from prediction.inference.served.kinds import Answering, VersionNotLoaded, VersionNotServable

_WHO = "the checks of signature.json"


async def check_answers(
    version: ModelVersion, answering: Answering, batcher: Batcher, deadline_seconds: float
) -> None:
    """Ask all checks at once.

    Args:
        deadline_seconds: For all of them.
    Raises:
        VersionNotServable: It answers otherwise, or not at all; the message names the check.
        VersionNotLoaded: It died or was late.
    """
    checks = answering.declaration.checks
    if not checks:
        return
    rows = await asyncio.to_thread(_rows, version, answering.declaration)
    answers = await batcher.answer(rows, deadline_seconds, _WHO)
    for number, (check, answer) in enumerate(zip(checks, answers, strict=True)):
        if isinstance(answer, RowAnswer):
            differs = check.difference(answer.value)
            if differs is not None:
                raise _refused(version, number, f"{differs}; what was exported answers otherwise")
        elif isinstance(answer, RowFailed):
            raise _refused(version, number, str(answer))
        else:
            raise VersionNotLoaded(f"{_place(number)}: {answer}")


def _rows(version: ModelVersion, declaration: Declaration) -> Sequence[Row]:
    rows = []
    for number, check in enumerate(declaration.checks):
        try:
            rows.append(declaration.row(check.inputs))
        except InvalidInputs as error:
            raise _refused(version, number, str(error)) from error
    return rows


def _refused(version: ModelVersion, number: int, problem: str) -> ServiceError:
    return VersionNotServable(f"signature.json of {version.id}: {_place(number)}: {problem}.")


def _place(number: int) -> str:
    return f"checks[{number}]"
