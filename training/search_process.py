"""The child process of a search: `python -m training.search_process FOLDER`.

Reads FOLDER/request.json, writes the model to FOLDER/artifact/ and progress to stdout, one JSON
object per line and nothing else. Exit code 0 after a result, 1 after an error event, 143 when
terminated. Ray's processes end with this one.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

from training.features import EmptyHistory, usable
from training.history import RunRecord, history_from_json
from training.onlinepredictor_config import SearchConfig

Emit = Callable[[dict[str, Any]], None]

SETTINGS = ("trials", "max_epochs", "max_concurrent", "seed")
"""Of `SearchConfig`, that a request may set."""


def read_request(folder: Path) -> tuple[list[RunRecord], SearchConfig]:
    """Read the history and the settings.

    Raises:
        ValueError: The file is missing, no JSON, or says something impossible.
    """
    try:
        request = json.loads((folder / "request.json").read_bytes())
        history = history_from_json(request["history"])
        given = {name: request[name] for name in SETTINGS if request.get(name) is not None}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"request.json cannot be used: {error!r}") from error
    for name, value in given.items():
        least = 0 if name == "seed" else 1
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"request.json: {name} must be an integer of at least {least}, not {value!r}")
    return history, replace(SearchConfig(), **given)


def run(folder: Path, emit: Emit) -> None:
    """Search and write the artifact.

    Raises:
        ValueError: The request cannot be used.
        EmptyHistory: No run has a job.
        SearchFailed: No trial came to a result.
    """
    history, config = read_request(folder)
    if not usable(history):
        raise EmptyHistory("no earlier run has a finished job")
    emit({"event": "log", "line": f"{len(history)} runs, {config.trials} trials"})
    from training.search import search_hyperparameters  # Ray and torch take seconds to import

    result = search_hyperparameters(
        history, folder, config, report=lambda trial: emit({"event": "trial", **asdict(trial)})
    )
    emit({"event": "log", "line": "writing the artifact"})
    artifact = folder / "artifact"
    artifact.mkdir(exist_ok=True)
    for name, content in result.model.to_files().items():
        (artifact / name).write_bytes(content)
    emit(
        {
            "event": "result",
            "best_loss": result.best_loss,
            "hyperparameters": asdict(result.hyperparameters),
            "validation": dict(result.model.validation),
            "trials": result.trials,
        }
    )


def _private_stdout() -> Emit:
    """Keep stdout for events: whatever else prints, in Python or below, goes to stderr."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def emit(event: dict[str, Any]) -> None:
        stream.write(json.dumps(event) + "\n")
        stream.flush()

    return emit


def _terminate(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
    raise SystemExit(128 + signum)


def main(arguments: list[str]) -> int:
    emit = _private_stdout()
    signal.signal(signal.SIGTERM, _terminate)
    if len(arguments) != 1:
        emit({"event": "error", "message": "expected one argument: the folder of the request"})
        return 1
    try:
        run(Path(arguments[0]), emit)
    except Exception as error:  # the parent must hear about every failure
        emit({"event": "error", "message": f"{type(error).__name__}: {error}"})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
