"""The child process of a comparison: `python -m training.promotion.process FOLDER`.

Reads FOLDER/request.json and the artifacts in FOLDER/champion/ and FOLDER/candidate/, and writes
one result to stdout, a JSON object on a line of its own. Exit code 0 after a result, 1 after an
error event, 143 when terminated.
"""

import json
import sys
from pathlib import Path

from common.processes.child import Emit, run_child
from common.processes.children import read_files
from training.history.values import RunRecord, history_from_json


def read_request(folder: Path) -> list[RunRecord]:
    """Read the held-out runs.

    Raises:
        ValueError: The file is missing, no JSON, or says something impossible.
    """
    try:
        return history_from_json(json.loads((folder / "request.json").read_bytes())["history"])
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"request.json cannot be used: {error!r}") from error


def run(folder: Path, emit: Emit) -> None:
    """Judge both models on the same moments of the same runs.

    Without held-out runs it is only found out whether the artifacts can be read.

    Raises:
        ValueError: The request cannot be used.
        ArtifactInvalid: The candidate cannot be used; a champion that cannot is no error.
        EmptyHistory: In none of the runs is there anything to measure.
    """
    held_out = read_request(folder)
    # Torch takes seconds, with what needs it.
    from training.runtime_model.artifact import ArtifactInvalid, TrainedModel
    from training.runtime_model.evaluation import remaining_errors
    from training.statistics.threads import compute_in_one_thread

    compute_in_one_thread()
    try:
        candidate = TrainedModel.from_files(read_files(folder / "candidate"))
    except ArtifactInvalid as error:
        raise ArtifactInvalid(f"the new version cannot be used: {error}") from error
    champion, reason = None, None
    try:
        champion = TrainedModel.from_files(read_files(folder / "champion"))
    except ArtifactInvalid as error:
        reason = str(error)
    new = remaining_errors(candidate, held_out) if held_out else None
    old = remaining_errors(champion, held_out) if held_out and champion else None
    former = {run.run_id: run.error for run in old.runs} if old else {}
    emit(
        {
            "event": "result",
            "champion_error": old.error if old else None,
            "candidate_error": new.error if new else None,
            "champion_reason": reason,
            "runs": len(new.runs) if new else 0,
            "cuts": new.cuts if new else 0,
            "per_run": [
                {
                    "run_id": run.run_id,
                    "cuts": len(run.measured_seconds),
                    "champion_error": former.get(run.run_id),
                    "candidate_error": run.error,
                }
                for run in (new.runs if new else ())
            ],
        }
    )


if __name__ == "__main__":
    sys.exit(run_child(sys.argv[1:], run))
