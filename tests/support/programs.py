"""Programs of workspaces, as a test uses them over HTTP."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.mongo.types import Client
from common.workspaces.documents import Quota
from common.workspaces.repository import WorkspaceRepository
from common.workspaces.workspaces import Workspaces
from submission.programs.repository import ProgramRunRepository
from submission.programs.rights import Rights

Json = dict[str, Any]

_FINAL = ("COMPLETED", "FAILED", "KILLED", "SUBMISSION_FAILED")
_PAUSE_SECONDS = 0.2
_PATIENCE_SECONDS = 120.0


def rights_in(mongo: Client, database: str, folder: Path) -> Rights:
    """Who may what with programs, by what is stored in a database."""
    stored = WorkspaceRepository(mongo, database, Quota(files=10, size_bytes=1 << 20, file_bytes=1 << 20))
    workspaces = Workspaces(stored, FolderStore(folder / "workspaces"))
    return Rights(workspaces, ProgramRunRepository(mongo, database), ModelRegistry(mongo, database))


class ProgramClient:
    """A service's programs; whatever is not as it should be fails the test."""

    def __init__(self, client: httpx.AsyncClient, data_dir: str = "") -> None:
        self.client = client
        self.data_dir = data_dir

    async def put(self, workspace: str, files: Mapping[str, str]) -> None:
        """Create a workspace where it is missing, and put files into it."""
        (await self.client.put(f"/workspaces/{workspace}")).raise_for_status()
        for path, content in files.items():
            answer = await self.client.put(f"/workspaces/{workspace}/files/{path}", content=content.encode())
            assert answer.is_success, answer.text

    async def start(self, workspace: str, **body: Any) -> Json:
        """A run that was just started."""
        answer = await self.client.post(f"/training/programs/{workspace}/runs", json=body)
        assert answer.status_code == 201, answer.text
        return self._json(answer)

    async def run(self, workspace: str, **body: Any) -> Json:
        """A run that has ended, and whose output, where there is one, is settled."""
        return await self.ended(await self.start(workspace, **body))

    async def ended(self, run: Json) -> Json:
        """The run when it has ended."""
        needs_version = run["program"]["output"] == "version"

        def settled(details: Json) -> bool:
            if details["state"] != "COMPLETED":
                return details["state"] in _FINAL
            return not needs_version or bool(details["version"] or details["publishing_detail"])

        return await self.heard(run, settled)

    async def heard(self, run: Json, wanted: Callable[[Json], bool]) -> Json:
        """The run as soon as it is as wanted."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while not wanted(details := await self.details(run)):
            assert asyncio.get_running_loop().time() < deadline, details
            await asyncio.sleep(_PAUSE_SECONDS)
        return details

    async def details(self, run: Json) -> Json:
        return self._json(await self.client.get(f"/training/program_runs/{run['id']}"))

    async def cancel(self, run: Json) -> Json:
        return self._json(await self.client.post(f"/training/program_runs/{run['id']}/cancel"))

    async def result(self, run: Json) -> Json:
        return self._json(await self.client.get(f"/training/program_runs/{run['id']}/result"))

    async def output(self, run: Json, path: str) -> bytes:
        answer = await self.client.get(f"/training/program_runs/{run['id']}/output/{path}")
        assert answer.is_success, answer.text
        return answer.content

    async def log(self, run: Json, tail_lines: int = 500) -> str:
        address = f"/submission/applications/{run['id']}/logs"
        return (await self.client.get(address, params={"tail_lines": tail_lines})).text

    async def application(self, run: Json) -> Json:
        return self._json(await self.client.get(f"/submission/applications/{run['id']}"))

    async def versions(self, model: str) -> list[Json]:
        """Newest first."""
        found: list[Json] = self._json(await self.client.get(f"/models/{model}/versions"))["items"]
        return found

    async def model(self, model: str) -> Json:
        return self._json(await self.client.get(f"/models/{model}"))

    async def has_no_version(self, model: str) -> bool:
        return (await self.client.get(f"/models/{model}")).status_code == 404

    async def pipeline(self, workspace: str, **body: Any) -> Json:
        """A run of a pipeline that has ended."""
        answer = await self.client.post(f"/training/programs/{workspace}/pipelines", json=body)
        assert answer.status_code == 201, answer.text
        run = self._json(answer)
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while run["state"] == "RUNNING":
            assert asyncio.get_running_loop().time() < deadline, run
            await asyncio.sleep(_PAUSE_SECONDS)
            run = self._json(await self.client.get(f"/training/pipelines/{run['id']}"))
        return run

    async def pipeline_result(self, run: Json) -> Json:
        return self._json(await self.client.get(f"/training/pipelines/{run['id']}/result"))

    @staticmethod
    def _json(answer: httpx.Response) -> Json:
        assert answer.is_success, answer.text
        found: Json = answer.json()
        return found
