"""Models' files in memory, as they were read: never changed, loaded once however many ask."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

from common.instruments import Instruments, unscraped
from common.models.versions import ModelVersion
from common.timing import FAILED

Files = Mapping[str, bytes]


class ModelCache:
    """The most recently used versions, bounded in number and in bytes.

    What cannot be loaded is never remembered: the next caller tries again.
    """

    def __init__(
        self,
        load: Callable[[ModelVersion], Awaitable[Files]],
        *,
        entries: int,
        size_bytes: int,
        instruments: Instruments | None = None,
    ) -> None:
        self._load_files = load
        self._entries = entries
        self._size_bytes = size_bytes
        self._loaded: OrderedDict[str, Files] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Files]] = {}
        self._instruments = instruments or unscraped()
        self.cached_bytes = 0

    def __contains__(self, version_id: str) -> bool:
        return version_id in self._loaded

    def __len__(self) -> int:
        return len(self._loaded)

    async def get(self, version: ModelVersion) -> Files:
        """The version's files.

        Raises:
            ArtifactDamaged: They are not those that were published.
            StoreUnavailable: They are not in memory, and the store does not answer.
        """
        is_hit = version.id in self._loaded
        self._instruments.cache_requests.labels("hit" if is_hit else "miss").inc()
        if is_hit:
            self._loaded.move_to_end(version.id)
            return self._loaded[version.id]
        if version.id not in self._loading:
            loading = asyncio.create_task(self._load(version))
            loading.add_done_callback(_ask_how_it_ended)
            self._loading[version.id] = loading
        # A caller that goes away must not take the load away from the others.
        return await asyncio.shield(self._loading[version.id])

    def cached_versions(self, name: str) -> list[int]:
        """Numbers of a model's versions that are in memory, ascending."""
        pairs = (version_id.rpartition("/") for version_id in self._loaded)
        return sorted(int(number) for of, _, number in pairs if of == name)

    def drop(self, version_id: str) -> None:
        """Forget a version, such as one that was deleted; one that is being loaded will not be kept."""
        self._loading.pop(version_id, None)
        if files := self._loaded.pop(version_id, None):
            self.cached_bytes -= _size(files)

    async def _load(self, version: ModelVersion) -> Files:
        try:
            files = await self._timed_load(version)
            if self._is_wanted(version):
                self._keep(version.id, files)
            return files
        finally:
            if self._is_wanted(version):
                del self._loading[version.id]

    async def _timed_load(self, version: ModelVersion) -> Files:
        started, result = time.perf_counter(), FAILED
        try:
            files = await self._load_files(version)
            result = "loaded"
            return files
        finally:
            self._instruments.model_loads.labels(result).observe(time.perf_counter() - started)

    def _is_wanted(self, version: ModelVersion) -> bool:
        """Whether nobody has dropped what this task loads."""
        return self._loading.get(version.id) is asyncio.current_task()

    def _keep(self, version_id: str, files: Files) -> None:
        if (size := _size(files)) > self._size_bytes:
            return  # it would only push all others out
        self._loaded[version_id] = files
        self.cached_bytes += size
        while len(self._loaded) > self._entries or self.cached_bytes > self._size_bytes:
            self.cached_bytes -= _size(self._loaded.popitem(last=False)[1])
            self._instruments.cache_evictions.inc()


def _ask_how_it_ended(loading: asyncio.Task[Files]) -> None:
    """Where every caller has gone away, asyncio would log an error that nobody asked for."""
    if not loading.cancelled():
        loading.exception()


def _size(files: Files) -> int:
    return sum(len(content) for content in files.values())
