"""The service's folder and its database: what takes time to open, and little code."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.wiring.data_dir import locked_data_dir
from common.mongo.client import mongo_client
from common.mongo.types import Client
from common.settings.settings import Settings


@dataclass(frozen=True)
class Ground:
    """Open until the context of `open_ground` ends."""

    data_dir: Path
    """Nobody else's."""
    mongo: Client
    """A writable primary answers."""


@asynccontextmanager
async def open_ground(settings: Settings) -> AsyncIterator[Ground]:
    """Raises StartError where either cannot be used."""
    async with (
        locked_data_dir(settings.server.data_dir) as data_dir,
        mongo_client(settings.mongo, data_dir) as mongo,
    ):
        yield Ground(data_dir, mongo)
