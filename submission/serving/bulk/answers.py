"""Starting an application that answers a file of questions."""

import asyncio
import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from common.auth import Principal
from common.errors import InvalidRequest
from common.models.artifacts import ArtifactStore
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion, RegisteredModel, read_version
from common.wire.specs import RequestModel, ScaleOut, Seconds, WorkspaceName
from common.workspaces.documents import StoredFile
from common.workspaces.paths import check_path
from common.workspaces.workspaces import Workspaces
from prediction.inference.served.documents import ServingOptions, VersionOrAlias
from prediction.inference.served.kinds import ONNX, how_it_answers
from submission.program_requests import StartProgram
from submission.serving.bulk.bundle import bundle, program, requirements

_BYTES_PER_MB = 1_000_000

MOST_BYTES = 256 << 20
"""Of questions in a workspace: the driver has them in memory. What a URI names, executors read themselves."""


class AnswerFile(RequestModel):
    """A file of questions."""

    workspace: WorkspaceName
    """Where the file is, and whose program this is."""
    input: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    """A path in the workspace, or a URI that Spark reads: `.jsonl` with an object of values a line, `.csv`
    (in the workspace), or a folder of images."""
    output: Annotated[str, StringConstraints(max_length=1000)] | None = None
    """A folder, by its URI, that Spark writes lines of JSON to; null: `answers.jsonl`, in the order of the
    questions, is kept with the run."""
    version: VersionOrAlias = "champion"
    min_executors: ScaleOut = 1
    max_executors: ScaleOut | None = None
    runtime_target_seconds: Seconds = 3600.0
    batch_rows: Annotated[int, Field(ge=1, le=4096)] = 64
    """That each model process is asked at once."""
    time_limit_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """Of one batch."""


@dataclass(frozen=True)
class _Input:
    path: str
    files: list[StoredFile]
    megabytes: int


class BulkAnswers:
    """Makes submissions of them."""

    def __init__(
        self,
        workspaces: Workspaces,
        registry: ModelRegistry,
        store: ArtifactStore,
        *,
        python_is_there: bool,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Args:
        python_is_there: Whether programs without an environment have this service's own Python.
        most_bytes: Of questions in a workspace.
        """
        self._workspaces = workspaces
        self._registry = registry
        self._store = store
        self._python_is_there = python_is_there
        self._most_bytes = most_bytes

    async def prepare(
        self, model: RegisteredModel, request: AnswerFile, options: ServingOptions, principal: Principal
    ) -> StartProgram:
        """What is to be started; rights to run programs of the workspace are asked there.

        Args:
            options: As the model is served: memory and threads of a process.
        Raises:
            InvalidRequest, VersionNotServable, WorkspaceNotFound: It cannot.
            ArtifactDamaged, StoreUnavailable: The version cannot be read now.
        """
        version = await self._version(model, request.version)
        answering = how_it_answers(version)
        found = await self._input(request)
        content = await read_version(self._store, version)
        files = {file.path or file.name: content[file.name] for file in version.files}
        executors = request.max_executors or request.min_executors
        said: dict[str, Any] = {
            "model": model.name,
            "version": version.version,
            "kind": answering.kind,
            "file": answering.file,
            "signature": version.program.signature if version.program is not None else None,
            "input": found.path,
            "output": request.output,
            "executors": executors,
            "batch_rows": request.batch_rows,
            "threads": options.threads or 1,
            "memory_limit_bytes": options.memory_limit_bytes,
            "load_limit_seconds": options.load_limit_seconds,
            "time_limit_seconds": request.time_limit_seconds,
        }
        made = {
            "bulk.py": program(),
            "bulk.json": json.dumps(said, sort_keys=True).encode(),
            "bundle.zip": await asyncio.to_thread(bundle, files),
        }
        own = files.get("requirements.txt")
        if own is not None or not self._python_is_there:
            made["requirements.txt"] = requirements(own, is_onnx=answering.kind == ONNX)
        snapshot = await self._workspaces.keep_made_snapshot(
            request.workspace, found.files, made, principal.name
        )
        return StartProgram(
            file="bulk.py",
            snapshot_id=snapshot.id,
            output="kept",
            model=f"{model.algorithm_name[:190]}.bulk",
            experiment_name="bulk",
            min_scale_out=request.min_executors,
            max_scale_out=executors,
            runtime_target_seconds=request.runtime_target_seconds,
            data_size_MB=max(1, found.megabytes),
        )

    async def _version(self, model: RegisteredModel, wanted: VersionOrAlias) -> ModelVersion:
        if isinstance(wanted, str):
            alias = model.aliases.get(wanted)
            if alias is None:
                raise InvalidRequest(f"version: {model.name} has no alias {wanted!r}.")
            wanted = alias.version
        return await self._registry.get_version(model.name, wanted)

    async def _input(self, request: AnswerFile) -> _Input:
        if "://" in request.input:
            return _Input(request.input, [], 1)
        path = check_path(request.input)
        below = await self._workspaces.stored.files_at_once(request.workspace, path)
        there = below or [await self._workspaces.stored.file(request.workspace, path)]
        size_bytes = sum(each.size_bytes for each in there)
        if size_bytes > self._most_bytes:
            raise InvalidRequest(
                f"input: {path[:200]} has {size_bytes:,} bytes, and questions in a workspace have at most"
                f" {self._most_bytes:,}; ask in several parts, or put them where Spark reads them and name"
                " that by its URI."
            )
        files = [
            StoredFile(path=f"input/{each.path}", sha256=each.sha256, size_bytes=each.size_bytes)
            for each in there
        ]
        return _Input(f"input/{path}", files, size_bytes // _BYTES_PER_MB)
