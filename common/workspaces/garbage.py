"""Removes contents that no file and no snapshot refers to, and what interrupted writes have left."""

import logging

from common.clocks import Unchanged
from common.models.artifacts import ArtifactStore
from common.workspaces.marks import Mark
from common.workspaces.repository import WorkspaceRepository

logger = logging.getLogger(__name__)

GRACE_SECONDS = 3600.0
"""For which content stays that nothing refers to: a file refers to what was stored before."""

_CLAIM_SECONDS = 600.0
"""After which whoever was deleting content is not at it any more, and it is deleted once more."""


class ContentGarbage:
    """Collects what belongs to this database's workspaces; other databases have folders of their own.

    Content is marked at one look and deleted at a later one, `grace_seconds` of this process's clock apart,
    if the mark is still the same. Who stores content takes its mark away first, and waits where somebody
    deletes it just then; so what is told to be stored is there.
    """

    def __init__(
        self, stored: WorkspaceRepository, store: ArtifactStore, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self._stored = stored
        self._store = store
        self._grace_seconds = grace_seconds
        self._unchanged = Unchanged()

    async def collect(self) -> float | None:
        """One look.

        Returns:
            Seconds until the next one, where somebody may have left a deletion half done; else None.
        Raises:
            StoreUnavailable: What was found so far is deleted.
        """
        seen: set[str] = set()
        is_half_done = False
        for folder in await self._store.keys(await self._stored.root()):
            workspace = folder.rpartition("/")[2]
            for mark in await self._look(folder, workspace):
                seen.add(mark.id)
                limit_seconds = self._grace_seconds if mark.claim is None else _CLAIM_SECONDS
                if self._unchanged.seconds(mark.id, (mark.made, mark.claim)) >= limit_seconds:
                    await self._delete(f"{folder}/{mark.sha256}", mark)
                else:
                    is_half_done |= mark.claim is not None
        self._unchanged.keep(seen)
        return _CLAIM_SECONDS if is_half_done else None

    async def _look(self, folder: str, workspace: str) -> list[Mark]:
        """Marks of a workspace as they have to be now."""
        whole = {_name(key) for key in await self._store.keys(folder)}
        every = whole | {_name(key) for key in await self._store.keys(folder, incomplete=True)}
        loose = every - await self._stored.referred_to(workspace, every)
        await self._stored.marks.mark_only(workspace, loose)
        left = {f"{folder}/{name}" for name in whole - loose}
        for key in await self._store.remove_interrupted_writes(folder, left):
            logger.info("Removed what an interrupted write of %s had left", key)
        return await self._stored.marks.of(workspace)

    async def _delete(self, key: str, mark: Mark) -> None:
        if not await self._stored.marks.claim(mark):
            return
        if not await self._stored.referred_to(mark.workspace, [mark.sha256]):
            # Should this fail, the claim stays: a store may carry out later what it did not answer in time.
            await self._store.delete(key)
            logger.info("Removed %s, which no file and no snapshot refers to", key)
        await self._stored.marks.remove(mark)


def _name(key: str) -> str:
    return key.rpartition("/")[2]
