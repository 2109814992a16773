"""Programs of the example of handwritten digits, run as the launcher runs them: in a folder of their own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.settings.group import PROJECT_ROOT
from tests.support.spark.spark_cluster import QUICK_START

DIGITS = PROJECT_ROOT / "examples" / "digits"

_SPARK = (
    "--master local[2] --driver-memory 512m --conf spark.ui.enabled=false"
    f" --driver-java-options '{QUICK_START}' pyspark-shell"
)


@dataclass(frozen=True)
class Programs:
    """The example's programs in a folder, on a Spark of two slots."""

    folder: Path

    @classmethod
    def copied_to(cls, folder: Path) -> "Programs":
        """With files as a workspace would have them."""
        shutil.copytree(DIGITS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        return cls(folder)

    def start(self, program: str, *arguments: Any, output: str = "out", **more: str) -> subprocess.Popen[str]:
        """A program in a process group of its own, whose output comes together.

        Args:
            output: Folder for what it leaves.
            more: Environment.
        """
        environment = {
            **os.environ,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_SUBMIT_ARGS": _SPARK,
            "PYTHONUNBUFFERED": "1",
            "ENEL_OUTPUT_DIR": str(self.folder / output),
            "ENEL_PROGRESS_FILE": str(self.folder / f"{output}.progress"),
            **more,
        }
        return subprocess.Popen(
            [sys.executable, program, *map(str, arguments)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, program: str, *arguments: Any, output: str = "out", **more: str) -> tuple[int, str]:
        """Exit code, and all that it has written."""
        process = self.start(program, *arguments, output=output, **more)
        written, _ = process.communicate()
        return process.returncode, written

    def left(self, name: str, output: str = "out") -> Any:
        """A JSON file that a program has left."""
        return json.loads((self.folder / output / name).read_text())

    def told(self, output: str = "out") -> list[Any]:
        """Lines of its progress."""
        lines: Sequence[str] = (self.folder / f"{output}.progress").read_text().splitlines()
        return [json.loads(line) for line in lines]
