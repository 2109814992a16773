"""The child process of a search: `python -m training.search.process FOLDER`.

Reads FOLDER/request.json, writes the model to FOLDER/artifact/ and progress to stdout, one JSON
object per line and nothing else. Exit code 0 after a result, 1 after an error event, 143 when
terminated. With RAY_ADDRESS trials run on that cluster, where its actors end with this process; without,
Ray's processes are this one's own, and end with it.
"""

import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path

from common.processes import ray_access
from common.processes.child import Emit, run_child
from training.evidence.table import EmptyHistory, usable
from training.history.values import RunRecord, history_from_json
from training.search.config import SearchConfig

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
        ClusterUnavailable: The cluster of RAY_ADDRESS cannot be used.
        SearchFailed: No trial came to a result.
    """
    history, config = read_request(folder)
    if not usable(history):
        raise EmptyHistory("no earlier run has a finished job")
    emit({"event": "log", "line": f"{len(history)} runs, {config.trials} trials"})
    from training.search.search import search_hyperparameters  # Ray and torch take seconds to import

    address = os.environ.get(ray_access.ADDRESS, "")
    if address:
        emit({"event": "log", "line": f"trials run on the Ray cluster of RAY_ADDRESS ({address})"})
    result = search_hyperparameters(
        history,
        folder,
        config,
        address=address,
        report=lambda trial: emit({"event": "trial", **asdict(trial)}),
    )
    for odd in result.model.validation.get("odd_runs", ()):
        emit({"event": "log", "line": f"run {odd['run_id']} is unlike the others: {odd['reason']}"})
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


if __name__ == "__main__":
    sys.exit(run_child(sys.argv[1:], run))
