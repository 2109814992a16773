"""Who may ask a model, and who may say how it is served.

A model belongs to the workspace whose program made its latest version, as in `submission.programs.rights`.
A right to ask is remembered for some seconds, so that not every question waits for the database; and while
that does not answer, what was known last holds for a while. Who changes something is looked up each time.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from common.auth import Permission, Principal
from common.errors import Forbidden, Unavailable
from common.models.registry import ModelRegistry
from common.workspaces.documents import Workspace
from common.workspaces.repository import WorkspaceNotFound
from common.workspaces.workspaces import Workspaces

_FRESH_SECONDS = 5.0
"""For which a right is used without a look."""

_PATIENCE_SECONDS = 0.5
"""For a look; a database that takes longer is taken to be away, until it answers."""

_HELD_SECONDS = 600.0
"""For which what was known last holds while the database does not answer."""

_MOST_REMEMBERED = 10_000

_Key = tuple[str, str]


@dataclass
class _Known:
    at: float
    """When it was looked at."""
    refusal: Forbidden | None
    tried_at: float = float("-inf")
    """When it was to be looked at again."""


class ServingRights:
    """Of one service."""

    def __init__(
        self,
        workspaces: Workspaces,
        registry: ModelRegistry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspaces = workspaces
        self._registry = registry
        self._clock = clock
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        self._looking: dict[_Key, asyncio.Task[None]] = {}

    async def check_may_ask(self, model: str, principal: Principal) -> None:
        """Return if somebody may ask a model, and say whether it was right.

        Raises:
            Forbidden: They may not.
            Unavailable: The database does not answer, and nothing was known lately.
        """
        key = (model, f"{principal.role}/{principal.name}")
        known = self._known.get(key)
        now = self._clock()
        if known is None or now - known.at >= _HELD_SECONDS:
            try:
                refusal = await self._look(key, model, principal)
            except PyMongoError as error:
                raise _unknown(model) from error
        else:
            if now - max(known.at, known.tried_at) > _FRESH_SECONDS:
                known.tried_at = now
                await asyncio.wait({self._start_look(key, model, principal)}, timeout=_PATIENCE_SECONDS)
            elif key in self._looking and now - known.tried_at < _PATIENCE_SECONDS:
                await asyncio.wait({self._looking[key]}, timeout=_PATIENCE_SECONDS - (now - known.tried_at))
            refusal = self._known.get(key, known).refusal
        if refusal is not None:
            raise Forbidden(str(refusal))

    async def check_may_serve(self, model: str, principal: Principal) -> None:
        """Return if somebody may say how a model is served, or have it served, at this moment.

        Raises:
            Forbidden: They may not.
            Unavailable: The database does not answer.
        """
        try:
            refusal = await self._may_serve(model, principal)
        except PyMongoError as error:
            raise _unknown(model) from error
        if refusal is not None:
            raise refusal

    def _start_look(self, key: _Key, model: str, principal: Principal) -> "asyncio.Task[None]":
        """For all who ask meanwhile; the look that is being taken, where there is one."""
        if (looking := self._looking.get(key)) is not None:
            return looking
        task = asyncio.create_task(self._look_again(key, model, principal))
        self._looking[key] = task
        task.add_done_callback(lambda _: self._looking.pop(key, None))
        return task

    async def _look(self, key: _Key, model: str, principal: Principal) -> Forbidden | None:
        at = self._clock()
        refusal = await self._may_ask(model, principal)
        self._known[key] = _Known(at, refusal)
        self._known.move_to_end(key)
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return refusal

    async def _look_again(self, key: _Key, model: str, principal: Principal) -> None:
        with contextlib.suppress(PyMongoError):
            await self._look(key, model, principal)

    async def _may_ask(self, model: str, principal: Principal) -> Forbidden | None:
        if principal.may(Permission.OPERATE):
            return None
        owner, workspace = await self._owner_of(model)
        if owner is None:
            return None
        may = workspace is not None and workspace.may_read(principal)
        return None if may else Forbidden(f"{principal.name!r} may not read the workspace {owner!r}.")

    async def _may_serve(self, model: str, principal: Principal) -> Forbidden | None:
        if principal.may(Permission.OPERATE):
            return None
        owner, workspace = await self._owner_of(model)
        if workspace is not None and workspace.may_run(principal):
            return None
        return Forbidden(
            f"{principal.name!r} may not say how {model!r} is served; who may run programs of"
            f" {f'the workspace {owner!r}' if owner else 'its workspace'} may, and operators."
        )

    async def _owner_of(self, model: str) -> tuple[str | None, Workspace | None]:
        """The name of the workspace that made its latest version, and the workspace, if it still is that one:
        another one of its name has made nothing, and owns nothing."""
        latest = await self._registry.find_latest(model)
        origin = latest.program if latest is not None else None
        if latest is None or origin is None:
            return None, None
        try:
            workspace = await self._workspaces.stored.get(origin.workspace)
        except WorkspaceNotFound:
            return origin.workspace, None
        return origin.workspace, workspace if workspace.created_at <= latest.created_at else None


def _unknown(model: str) -> Unavailable:
    return Unavailable(f"Whose model {model!r} is cannot be known now.")
