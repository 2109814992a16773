"""Pipelines of a workspace on its page: start one, follow its steps, end it."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from app.dashboard.programs.declared import result_of_pipeline
from app.dashboard.programs.form import DEFAULTS, parameters_of
from app.dashboard.programs.place import whole_page
from app.dashboard.programs.runs import page_of
from app.dashboard.rendering import render, see_other
from app.dashboard.submission_form import FormError, typed_in
from common.errors import ServiceError
from common.wire.specs import SHORT_TEXT
from routers.dependencies import PipelinesDep, StateDep
from routers.principal import READS, SUBMITS, AdmittedDep, PrincipalDep
from routers.programs.pipelines import (
    StartPipeline,
    cancel_pipeline_run,
    get_pipeline_run,
    start_pipeline,
)
from routers.state import ServiceState
from routers.workspaces.permission import readable
from submission.pipelines.definition import parse_pipeline
from submission.pipelines.pipelines import DEFAULT_FILE

router = APIRouter(prefix="/training/pipelines")

RunId = Annotated[str, Path(max_length=SHORT_TEXT)]


@router.post("", dependencies=SUBMITS)
async def start(request: Request, state: StateDep, principal: PrincipalDep) -> Response:
    """Run the steps that a folder's pipeline.yaml declares, then show them; what is refused stays typed."""
    typed = typed_in(await request.form())
    workspace = typed.get("workspace", "")
    await readable(workspace, state.workspaces, principal)
    try:
        wanted = await _wanted(workspace, typed, state)
        key = typed.get("key", "")[:SHORT_TEXT] or None
        run = await start_pipeline(
            workspace,
            wanted,
            state.programs,
            state.pipelines,
            state.access,
            principal,
            Response(),
            idempotency_key=key,
        )
        return see_other(request, page_of(workspace, pipeline=run.id))
    except FormError as error:
        errors, status = error.errors, 422
    except ServiceError as error:
        errors, status = {"": str(error)}, error.status
    return await whole_page(
        request, state, principal, workspace, DEFAULTS, errors=errors, status=status, of_pipeline=typed
    )


async def _wanted(workspace: str, typed: dict[str, str], state: ServiceState) -> StartPipeline:
    """Raises FormError, FileNotInWorkspace or InvalidPipeline."""
    folder = typed.get("folder") or "."
    path = DEFAULT_FILE if folder == "." else f"{folder}/{DEFAULT_FILE}"
    declared = parse_pipeline(await state.workspaces.read(workspace, path), path)
    parameters = parameters_of(typed, declared.parameters)
    return StartPipeline(folder=folder, parameters=parameters, anew="anew" in typed)


@router.get("/{run_id}", dependencies=READS)
async def pipeline(request: Request, run_id: RunId, state: StateDep, principal: AdmittedDep) -> Response:
    """As a part of the page; for whoever opens the address, the page."""
    run = await get_pipeline_run(run_id, state.pipelines, state.programs, principal)
    if "HX-Request" not in request.headers:
        return see_other(request, page_of(run.workspace, pipeline=run.id))
    result = await result_of_pipeline(run, state, principal)
    return render(request, "training/pipeline.html", pipeline=run, pipeline_result=result)


@router.post("/{run_id}/cancel", dependencies=SUBMITS)
async def cancel(
    request: Request, run_id: RunId, pipelines: PipelinesDep, principal: PrincipalDep
) -> Response:
    """Start no further step and end those that run, then show it again."""
    run = await cancel_pipeline_run(run_id, pipelines, principal)
    return see_other(request, page_of(run.workspace, pipeline=run.id))
