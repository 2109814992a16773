"""Environments on the session's database, built with the machine's index."""

from pathlib import Path

import pytest

from common.models.folder import FolderStore
from common.mongo.types import Client
from tests.support.environments import Made, Make, why_no_index


@pytest.fixture
def make(mongo: Client, database: str, tmp_path: Path) -> Make:
    store = FolderStore(tmp_path / "models")
    numbers = iter(range(9))
    return lambda **settings: Made(
        mongo, database, store, tmp_path / f"environments-{next(numbers)}", **settings
    )


@pytest.fixture
def made(make: Make) -> Made:
    return make()


@pytest.fixture(scope="session")
def _index() -> None:
    if why_no_index():
        pytest.skip(why_no_index())
