"""Event logs that a real Spark has written, made once per session."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.spark.spark_cluster import QUICK_START

PROGRAM = Path(__file__).with_name("write_logs.py")


@pytest.fixture(scope="session")
def spark_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each codec, with one log in it."""
    folder = tmp_path_factory.mktemp("event-logs") / "logs"
    options = f"--driver-java-options '{QUICK_START}' pyspark-shell"
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYSPARK_SUBMIT_ARGS": options}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder
