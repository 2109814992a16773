"""The child of a training that does what its request says: reports, takes its time, and leaves a model."""

import json
import sys
import time
from pathlib import Path

from common.processes.child import Emit, run_child


def run(folder: Path, emit: Emit) -> None:
    request = json.loads((folder / "request.json").read_text())
    for event in request["events"]:
        emit(event)
    time.sleep(request["seconds"])
    (folder / "artifact").mkdir()
    (folder / "artifact" / "model.json").write_text("{}")
    emit({"event": "result"})


if __name__ == "__main__":
    sys.exit(run_child(sys.argv[1:], run))
