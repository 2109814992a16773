"""The child process of a search, as a training starts it."""

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from common.settings.group import PROJECT_ROOT

MARK = "ENEL_TEST_SEARCH"


class Child:
    """A search process whose descendants can be told from everybody else's."""

    def __init__(self, folder: Path, variables: Mapping[str, str] = MappingProxyType({})) -> None:
        self.mark = uuid.uuid4().hex
        self._errors = (folder / "stderr.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "training.search.process", str(folder)],
            cwd=PROJECT_ROOT,
            env=os.environ | {MARK: self.mark, **variables},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def lines(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)

    def started(self) -> set[str]:
        """Names of what the process itself has started: cheap enough to ask again and again."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return {child.name() for child in psutil.Process(self.process.pid).children()}
        return set()

    def descendants(self) -> list[str]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.name())
            except psutil.Error:
                continue
        return found

    def left_over(self) -> list[str]:
        """Descendants that do not go away; ending takes Ray's processes a moment."""
        for _ in range(50):
            if not self.descendants():
                break
            time.sleep(0.2)
        return self.descendants()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._errors.close()
