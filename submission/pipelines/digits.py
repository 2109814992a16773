"""The example that comes with the service: handwritten digits, in a workspace of that name.

Its files are put where they are missing, and replaced by newer ones where nobody has changed them: what was
put last stands in the workspace, in `PUT_FILE`. What people have changed stays as they left it.
"""

import asyncio
import hashlib
import io
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from common.auth import Principal
from common.errors import Conflict, Forbidden, InvalidRequest, Unavailable
from common.processes.environment import computing_environment
from common.processes.guarded import GuardedProcess
from common.workspaces.documents import StoredFile, Workspace
from common.workspaces.paths import check_path
from common.workspaces.repository import WorkspaceExists
from common.workspaces.workspaces import Workspaces

WORKSPACE = "digits"
MADE_FILE = "mnist.npz"
"""Images that the example makes where it is asked for them."""

PUT_FILE = ".put-by-the-service.json"
"""SHA-256 by path of what was put last."""

_KINDS = (".py", ".yaml")
_PATIENCE_SECONDS = 120.0


class DigitsExample:
    """Prepares the workspace.

    Args:
        bundled: Folder of the example's files.
        scratch: Below which files are made.
        places: Parameters that say where its data and checkpoints lie; None: there is no place that all
            machines reach.
    """

    def __init__(
        self, workspaces: Workspaces, bundled: Path, scratch: Path, places: Mapping[str, str] | None
    ) -> None:
        self._workspaces = workspaces
        self._bundled = bundled
        self._scratch = scratch
        self._places = places
        self._making = asyncio.Lock()

    def places(self) -> Mapping[str, str]:
        """Parameters of the pipeline. Raises Conflict."""
        if self._places is None:
            raise Conflict(
                "The example stores partitions and checkpoints where all executors reach them: set"
                " HDFS_ENDPOINT."
            )
        return self._places

    async def ensure_workspace(self, principal: Principal) -> None:
        """Make the workspace where it is missing, as one's own."""
        made = Workspace(name=WORKSPACE, owner=principal.name if principal.is_known else None)
        try:
            await self._workspaces.stored.create(made)
        except WorkspaceExists:
            return

    async def put_files(self, principal: Principal, images: str) -> None:
        """Put what is missing or outdated; who may only run the workspace's programs runs them as they are.

        Args:
            images: Path of the images; one in the workspace has to be there, unless it is `MADE_FILE`.
        Raises:
            InvalidRequest: There are no such images.
            And what `Workspaces.upload` raises.
        """
        present = await self._workspaces.stored.get(WORKSPACE)
        there = {file.path: file for file in await self._workspaces.stored.files_at_once(WORKSPACE, "")}
        is_missing = _is_in_workspace(images) and check_path(images) not in there
        if is_missing and images != MADE_FILE:
            raise InvalidRequest(
                f"images_batch_path: there is no {images[:100]!r} in the workspace {WORKSPACE!r}; put it"
                f" there, or ask for {MADE_FILE}, which is made."
            )
        if not present.may_change(principal):
            if is_missing:
                raise Forbidden(f"{principal.name!r} may not put {MADE_FILE} into {WORKSPACE!r}.")
            return
        files = await self._outdated(there)
        if is_missing:
            files[MADE_FILE] = await self._made()
        if files:
            await self._put(files, there, principal)

    async def _outdated(self, there: Mapping[str, StoredFile]) -> dict[str, bytes]:
        """Files to be put, and the note of them all."""
        bundled = await asyncio.to_thread(_read, self._bundled)
        last = await self._put_last(there)
        files = {
            path: content
            for path, content in bundled.items()
            if path not in there
            or (there[path].sha256 == last.get(path) and there[path].sha256 != _sha256(content))
        }
        if files:
            note = {**last, **{path: _sha256(content) for path, content in files.items()}}
            files[PUT_FILE] = json.dumps(note, indent=2, sort_keys=True).encode()
        return files

    async def _put_last(self, there: Mapping[str, StoredFile]) -> dict[str, str]:
        if PUT_FILE not in there:
            return {}
        try:
            note = json.loads(await self._workspaces.content(WORKSPACE, there[PUT_FILE]))
        except ValueError:
            return {}
        return note if isinstance(note, dict) else {}

    async def _put(
        self, files: Mapping[str, bytes], there: Mapping[str, StoredFile], principal: Principal
    ) -> None:
        seen = {path: there[path].sha256 if path in there else None for path in files}

        def precondition(present: Workspace, now: Mapping[str, str]) -> None:
            if not present.may_change(principal):
                raise Forbidden(f"{principal.name!r} may no longer change the workspace {WORKSPACE!r}.")
            wanted = {path: _sha256(content) for path, content in files.items()}
            if any(now.get(path) not in (seen[path], wanted[path]) for path in files):
                raise Conflict(f"The workspace {WORKSPACE!r} was changed meanwhile; ask again.")

        archive = await asyncio.to_thread(_zip, files)
        await self._workspaces.upload(WORKSPACE, archive, principal.name, precondition=precondition)

    async def _made(self) -> bytes:
        """In a process of its own: what it computes with would stay in this one's memory."""
        async with self._making:
            folder = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=self._scratch))
            try:
                return await _make(self._bundled / "make_data.py", folder)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, True)


async def _make(program: Path, folder: Path) -> bytes:
    target, log = folder / MADE_FILE, folder / "log"
    with log.open("wb") as output:
        process = await GuardedProcess.start(
            *(sys.executable, str(program), str(target)),
            stdout=output,
            stderr=output,
            env=computing_environment(),
            cwd=folder,
        )
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                code = await process.wait()
        except TimeoutError:
            raise Unavailable(
                f"{MADE_FILE} was not made within {_PATIENCE_SECONDS:g} s; ask again."
            ) from None
        finally:
            await process.stop()
    if code:
        last = await asyncio.to_thread(log.read_text, errors="replace")
        raise Unavailable(f"{MADE_FILE} could not be made: {last.strip()[-500:]}")
    return await asyncio.to_thread(target.read_bytes)


def _is_in_workspace(images: str) -> bool:
    return "://" not in images and not images.startswith("/")


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in _KINDS}


def _zip(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return content.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
