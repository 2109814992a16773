"""What programs leave: described, sent in parts that are kept by their content, read again.

A part that has come is never sent again, and only when all have come is the output complete: a launcher
that begins anew, or a service that was restarted, goes on where it stopped.
"""

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from pydantic import Field

from common.errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge
from common.forms import Form
from common.models.artifacts import ArtifactDamaged, ArtifactStore
from common.settings.programs import ProgramSettings
from common.wire.specs import WireModel
from common.workspaces.paths import check_path, check_tree
from submission.programs.documents import Output, OutputFile, OutputPart, ProgramRun
from submission.programs.reports import Attempt
from submission.programs.repository import ProgramRunRepository

PART_BYTES = 4 << 20
"""Of every part but a file's last one."""

ROOT = "program_outputs"
_CONTENT = "content"

Sha256 = Annotated[str, Form(r"^[0-9a-f]{64}$", "a SHA-256 in hexadecimal")]


class OutputTooLarge(PayloadTooLarge):
    title = "The program leaves too much"


class OutputNotFound(NotFound):
    title = "The program has left no such file"


class DescribedPart(WireModel):
    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=1, le=PART_BYTES)]


class DescribedFile(WireModel):
    path: str
    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=0)]
    parts: list[DescribedPart]


class OutputDescription(WireModel):
    """All that a program has left."""

    attempt: Attempt
    files: list[DescribedFile]


class Completion(WireModel):
    attempt: Attempt


class MissingParts(WireModel):
    """What is still to be sent."""

    missing: list[str]
    """SHA-256 of each part, once."""


class Outputs:
    """Outputs of programs in the artifact store."""

    def __init__(self, runs: ProgramRunRepository, store: ArtifactStore, settings: ProgramSettings) -> None:
        self._runs = runs
        self._store = store
        self.most_files = settings.program_output_max_files
        self.most_bytes = settings.program_output_max_bytes

    async def describe(self, run: ProgramRun, said: OutputDescription) -> MissingParts:
        """Store what is going to come; returns what of it is not there.

        Raises:
            OutputTooLarge, InvalidRequest: Nothing is stored.
            Conflict: It is complete already, and was another one.
        """
        files = self._checked(said)
        if run.output is not None and run.output.completed_at is not None:
            if run.output.files != files:
                raise Conflict(f"The output of {run.id} is complete, and is another one.")
            return MissingParts(missing=[])
        await self._runs.describe_output(run, Output(files=files))
        return MissingParts(missing=await self._missing(run.id, files))

    async def put_part(self, application_execution_id: str, sha256: str, content: bytes) -> None:
        """Keep a part that was described; one that is there already is no error.

        Raises:
            InvalidRequest: It is not what its name says, or nobody has announced it.
        """
        if hashlib.sha256(content).hexdigest() != sha256:
            raise InvalidRequest(f"What was sent is not the part {sha256[:12]}….")
        run = await self._runs.find(application_execution_id)
        files = run.output.files if run is not None and run.output is not None else []
        said = [part.size_bytes for file in files for part in file.parts if part.sha256 == sha256]
        if not said:
            raise InvalidRequest(f"The part {sha256[:12]}… belongs to no file that was described.")
        if any(size_bytes != len(content) for size_bytes in said):
            raise InvalidRequest(f"The part {sha256[:12]}… has {len(content):,} bytes, and not as was said.")
        await self._store.keep(_key(application_execution_id, sha256), {_CONTENT: content})

    async def complete(self, run: ProgramRun, *, unpublished: bool) -> None:
        """Store that all has come.

        Args:
            unpublished: Whether a version is to be made of it.
        Raises:
            Conflict: A part is missing, or nothing was described.
        """
        if run.output is None:
            raise Conflict(f"Nothing was described of the output of {run.id}.")
        if run.output.completed_at is not None:
            return
        if missing := await self._missing(run.id, run.output.files):
            raise Conflict(f"{len(missing)} parts of the output of {run.id} have not come.")
        await self._runs.complete_output(run, unpublished=unpublished)

    def file(self, run: ProgramRun | None, path: str) -> OutputFile:
        """A file of an output that is complete. Raises OutputNotFound."""
        files = (run.files if run is not None else None) or []
        found = next((file for file in files if file.path == path), None)
        if found is None:
            raise OutputNotFound(f"There is no file {path[:100]!r} in what the program has left.")
        return found

    async def stream(self, run_id: str, file: OutputFile) -> AsyncIterator[bytes]:
        """A file, part by part. Raises ArtifactDamaged, ArtifactNotFound or StoreUnavailable."""
        for part in file.parts:
            content = (await self._store.read(_key(run_id, part.sha256))).get(_CONTENT, b"")
            if hashlib.sha256(content).hexdigest() != part.sha256:
                raise ArtifactDamaged(f"{run_id}: a part of {file.path!r} is not what was stored.")
            yield content

    async def read(self, run_id: str, file: OutputFile) -> bytes:
        """A whole file. Raises as `stream` does, and ArtifactDamaged where it is not what was described."""
        content = b"".join([part async for part in self.stream(run_id, file)])
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise ArtifactDamaged(f"{run_id}: {file.path!r} is not what was described.")
        return content

    async def discard(self, run: ProgramRun) -> None:
        """Remove what was sent of an output that nobody will want, and say so. Raises StoreUnavailable."""
        for key in await self._store.keys(f"{ROOT}/{run.id}", incomplete=True):
            await self._store.delete(key)
        await self._runs.record_discarded(run)

    async def _missing(self, run_id: str, files: list[OutputFile]) -> list[str]:
        there = set(await self._store.keys(f"{ROOT}/{run_id}"))
        wanted = dict.fromkeys(part.sha256 for file in files for part in file.parts)
        return [sha256 for sha256 in wanted if _key(run_id, sha256) not in there]

    def _checked(self, said: OutputDescription) -> list[OutputFile]:
        size = sum(file.size_bytes for file in said.files)
        if len(said.files) > self.most_files or size > self.most_bytes:
            raise OutputTooLarge(
                f"{len(said.files):,} files with {size:,} bytes; {self.most_files:,} files"
                f" (PROGRAM_OUTPUT_MAX_FILES) and {self.most_bytes:,} bytes (PROGRAM_OUTPUT_MAX_BYTES) are"
                " the most that a program may leave."
            )
        paths = [check_path(file.path) for file in said.files]
        if len(set(paths)) != len(paths):
            raise InvalidRequest("A file is described twice.")
        check_tree(paths)
        return [_checked(file, path) for file, path in zip(said.files, paths, strict=True)]


def _checked(file: DescribedFile, path: str) -> OutputFile:
    if sum(part.size_bytes for part in file.parts) != file.size_bytes:
        raise InvalidRequest(f"{path!r}: its parts are not as long as it is.")
    if any(part.size_bytes != PART_BYTES for part in file.parts[:-1]):
        raise InvalidRequest(f"{path!r}: every part but the last one has {PART_BYTES:,} bytes.")
    parts = [OutputPart(sha256=part.sha256, size_bytes=part.size_bytes) for part in file.parts]
    return OutputFile(path=path, size_bytes=file.size_bytes, sha256=file.sha256, parts=parts)


def _key(run_id: str, sha256: str) -> str:
    return f"{ROOT}/{run_id}/{sha256}"


def described(files: list[OutputFile]) -> list[dict[str, Any]]:
    """As a launcher compares with what has come."""
    return [file.model_dump(include={"path", "size_bytes", "sha256"}) for file in files]
