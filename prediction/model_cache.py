"""Artifacts in memory, as they were read: never changed, loaded once however many ask."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping

from common.artifacts import ArtifactStore

Files = Mapping[str, bytes]


class ModelCache:
    """The most recently used artifacts. What is missing is never remembered."""

    def __init__(self, store: ArtifactStore, entries: int) -> None:
        self._store = store
        self._entries = entries
        self._loaded: OrderedDict[str, Files] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Files]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._loaded

    async def get(self, key: str) -> Files:
        """The artifact's files. Raises ArtifactNotFound."""
        if key in self._loaded:
            self._loaded.move_to_end(key)
            return self._loaded[key]
        if key not in self._loading:
            self._loading[key] = asyncio.create_task(self._load(key))
        # A caller that goes away must not take the load away from the others.
        return await asyncio.shield(self._loading[key])

    async def _load(self, key: str) -> Files:
        try:
            files = await self._store.read(key)
            self._loaded[key] = files
            while len(self._loaded) > self._entries:
                self._loaded.popitem(last=False)
            return files
        finally:
            del self._loading[key]
