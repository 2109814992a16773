"""Pipelines of workspaces over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Response, status
from pydantic import Field, StringConstraints

from common.wire.specs import Name, RequestModel, WireModel
from routers.dependencies import (
    REPLAYED,
    AccessDep,
    ExecutionsDep,
    IdempotencyKey,
    PipelinesDep,
    ProgramsDep,
)
from routers.pagination import Cursor, Hint, Limit, Unreadable, decode_cursor, encode_cursor, hint_for
from routers.principal import READS, SUBMITS, PrincipalDep
from routers.programs.people import Workspace, result_of
from routers.schemas import examples
from submission.pipelines.definition import Scalar
from submission.pipelines.documents import PipelineRun
from submission.pipelines.pipelines import DEFAULT_FILE
from submission.pipelines.repository import PipelineRunNotFound
from submission.requests import SubmitRequest

router = APIRouter(prefix="/training", tags=["programs"])

_Path = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class StartPipeline(RequestModel):
    """A pipeline of a workspace; everything has a default."""

    file: _Path = DEFAULT_FILE
    """Of the folder."""
    folder: _Path = "."
    """Of the workspace; steps' files lie in it."""
    parameters: Annotated[dict[Name, Scalar], Field(max_length=64)] = Field(default_factory=dict)
    """Values for what the file calls parameters, in place of its own."""
    anew: bool = False
    """Run every step; otherwise one whose files, arguments and inputs have not changed is not run again."""


class PipelineRunPage(WireModel):
    items: list[PipelineRun]
    next_cursor: str | None
    hint: Hint = None
    unreadable: Unreadable


@router.post(
    "/programs/{workspace}/pipelines",
    status_code=status.HTTP_201_CREATED,
    dependencies=SUBMITS,
    responses={200: {"model": PipelineRun, "description": "It was started before"}},
)
async def start_pipeline(
    workspace: Workspace,
    request: Annotated[StartPipeline, examples.PIPELINE],
    programs: ProgramsDep,
    pipelines: PipelinesDep,
    access: AccessDep,
    principal: PrincipalDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> PipelineRun:
    """Run the steps that a YAML file declares, one after another (docs/programs.md)."""

    async def allowed(step: SubmitRequest) -> None:
        await programs.rights.check_may_run(step, principal)

    await programs.rights.check_may_run_workspace(workspace, principal)
    async with access.submitting(principal):
        run, is_new = await pipelines.start(
            workspace,
            folder=request.folder,
            file=request.file,
            anew=request.anew,
            parameters=request.parameters,
            by=principal.name,
            check=allowed,
            key=idempotency_key,
        )
    if not is_new:
        response.status_code = status.HTTP_200_OK
        response.headers[REPLAYED] = "true"
    response.headers["Location"] = f"/training/pipelines/{run.id}"
    return run


@router.get("/programs/{workspace}/pipelines", dependencies=READS)
async def list_pipeline_runs(
    workspace: Workspace,
    pipelines: PipelinesDep,
    programs: ProgramsDep,
    principal: PrincipalDep,
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> PipelineRunPage:
    """Runs of a workspace's pipelines, newest first."""
    await programs.rights.check_may_read_workspace(workspace, principal)
    found = await pipelines.stored.newest(workspace, before=decode_cursor(cursor), limit=limit + 1)
    page = found[:limit]
    return PipelineRunPage(
        items=page,
        next_cursor=encode_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None,
        hint=hint_for(page, f"POST /training/programs/{workspace}/pipelines starts one.", cursor),
        unreadable=found.unreadable,
    )


@router.get("/pipelines/{pipeline_run_id}", dependencies=READS)
async def get_pipeline_run(
    pipeline_run_id: str, pipelines: PipelinesDep, programs: ProgramsDep, principal: PrincipalDep
) -> PipelineRun:
    """One run: its steps, what each waits for, and the run of a program that each has become."""
    run = await pipelines.stored.get(pipeline_run_id)
    await programs.rights.check_may_read_since(run.workspace, run.created_at, run.submitted_by, principal)
    return run


@router.post("/pipelines/{pipeline_run_id}/cancel", dependencies=SUBMITS)
async def cancel_pipeline_run(
    pipeline_run_id: str, pipelines: PipelinesDep, principal: PrincipalDep
) -> PipelineRun:
    """End the steps that run, and start no more; what ended well before is kept, and reused."""
    run = await pipelines.stored.get(pipeline_run_id)
    principal.check_owner(run.submitted_by, f"The run {run.id}")
    return await pipelines.cancel(run.id, principal.name)


@router.get("/pipelines/{pipeline_run_id}/result", dependencies=READS)
async def get_pipeline_result(
    pipeline_run_id: str,
    pipelines: PipelinesDep,
    executions: ExecutionsDep,
    programs: ProgramsDep,
    principal: PrincipalDep,
) -> dict[str, Any]:
    """The result of its result step; 404 while there is none."""
    run = await pipelines.stored.get(pipeline_run_id)
    await programs.rights.check_may_read_since(run.workspace, run.created_at, run.submitted_by, principal)
    step = run.step(run.result_step)
    if not step.state.is_done or step.application_execution_id is None:
        raise PipelineRunNotFound(f"The step {step.name!r} is {step.state.value.lower()}: no result (yet).")
    return await result_of(step.application_execution_id, executions, programs, principal)
