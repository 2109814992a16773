"""Pipelines that lie in a workspace, and what a run of one has led to, for people."""

import json
from dataclasses import dataclass, field

from common.errors import ServiceError
from common.workspaces.documents import WorkspaceFile
from common.workspaces.workspaces import Workspaces
from routers.principal import AdmittedDep
from routers.programs.pipelines import get_pipeline_result
from routers.state import ServiceState
from submission.pipelines.definition import Scalar, parse_pipeline
from submission.pipelines.documents import PipelineRun
from submission.pipelines.pipelines import DEFAULT_FILE

_MOST_SHOWN = 5
_SHOWN_CHARACTERS = 20_000


@dataclass(frozen=True)
class Declared:
    """A pipeline that lies in a workspace."""

    folder: str
    steps: list[str] = field(default_factory=list)
    parameters: dict[str, Scalar] = field(default_factory=dict)
    problem: str = ""
    """Why it cannot be started."""


async def declared_in(
    workspace: str, files: list[WorkspaceFile], workspaces: Workspaces
) -> tuple[list[Declared], int]:
    """In every folder with a pipeline.yaml, the first few of them; and how many more there are."""
    found = [file for file in files if file.path.rpartition("/")[2] == DEFAULT_FILE]
    shown = found[:_MOST_SHOWN]
    return [await _declared(workspace, file, workspaces) for file in shown], len(found) - len(shown)


async def _declared(workspace: str, file: WorkspaceFile, workspaces: Workspaces) -> Declared:
    folder = file.path.rpartition("/")[0] or "."
    try:
        pipeline = parse_pipeline(await workspaces.content(workspace, file), file.path)
    except ServiceError as error:
        return Declared(folder, problem=str(error))
    return Declared(folder, list(pipeline.steps), pipeline.parameters)


async def result_of_pipeline(run: PipelineRun, state: ServiceState, principal: AdmittedDep) -> str:
    """As JSON for people; empty: there is none (yet)."""
    try:
        found = await get_pipeline_result(
            run.id, state.pipelines, state.executions, state.programs, principal
        )
    except ServiceError:
        return ""
    text = json.dumps(found, indent=2, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}\n…"
