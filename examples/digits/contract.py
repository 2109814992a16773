"""What the service gives a program, and takes from it (docs/programs.md); by hand, folders beside it."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

_HEARTBEAT_SECONDS = 5.0


def output_folder() -> Path:
    """Where what a program leaves goes."""
    folder = Path(os.environ.get("ENEL_OUTPUT_DIR", "output"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def input_folder(name: str) -> Path:
    """What another step of the pipeline has left."""
    return Path(os.environ.get("ENEL_INPUT_DIR", "input"), name)


def feedback_folder() -> Path:
    """What people have said of the model's predictions; by hand, a folder beside it."""
    return Path(os.environ.get("ENEL_FEEDBACK_DIR", "feedback"))


def leave(name: str, value: dict[str, Any]) -> None:
    """Leave a JSON file."""
    (output_folder() / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def tell(**line: Any) -> None:
    """Say how far it is: `progress`, `message`, `metrics` with `step`, `data`, `heartbeat`."""
    path = os.environ.get("ENEL_PROGRESS_FILE")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    if message := line.get("message"):
        print(message, flush=True)


class Heartbeat(threading.Thread):
    """Says that the program lives, and looks at something meanwhile."""

    def __init__(self, look: Any = None, pause_seconds: float = 0.5) -> None:
        super().__init__(daemon=True)
        self._look, self._pause_seconds = look, pause_seconds
        self._over = threading.Event()

    def __enter__(self) -> "Heartbeat":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Until the program is through."""
        told_at = 0.0
        while not self._over.wait(self._pause_seconds):
            if self._look is not None:
                self._look()
            if time.monotonic() - told_at >= _HEARTBEAT_SECONDS:
                told_at = time.monotonic()
                tell(heartbeat=True)
        if self._look is not None:
            self._look()
