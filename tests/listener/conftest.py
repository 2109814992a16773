"""The jar and a cluster to run it on, both made once per test session."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.spark.spark_cluster import standalone_cluster

LISTENER = Path(__file__).parents[2] / "listener"


@pytest.fixture(scope="session")
def listener_jar() -> Path:
    subprocess.run([sys.executable, str(LISTENER / "build.py")], check=True)
    return LISTENER / "build" / "enel-listener.jar"


@pytest.fixture(scope="session")
def spark_master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a standalone cluster with room for four executors of one core."""
    with standalone_cluster(tmp_path_factory.mktemp("cluster"), cores=4) as url:
        yield url
