"""The page itself: a workspace with its files, the form that starts a program, and what has run."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter, ValidationError

from app.dashboard.programs.declared import result_of_pipeline
from app.dashboard.programs.form import DEFAULTS, arguments_of, request_of, typed_for
from app.dashboard.programs.place import ran_in, whole_page
from app.dashboard.programs.runs import page_of, picture_of
from app.dashboard.rendering import render, see_other
from app.dashboard.submission_form import FormError, typed_in
from common.errors import InvalidRequest, ServiceError
from common.wire.specs import SHORT_TEXT
from common.workspaces.paths import LONGEST_PATH
from routers.dependencies import AccessDep, StateDep, SubmissionsDep
from routers.principal import READS, SUBMITS, AdmittedDep, PrincipalDep
from routers.programs.people import run_program
from routers.programs.pipelines import get_pipeline_run
from routers.schemas.workspaces import WorkspaceName
from routers.workspaces.permission import readable
from routers.workspaces.places import put_workspace
from submission.idempotency import IdempotencyKeyReused

router = APIRouter(prefix="/training")

Text = Annotated[str, Query(max_length=SHORT_TEXT)]
InWorkspace = Annotated[str, Query(max_length=LONGEST_PATH)]
_NAME: TypeAdapter[str] = TypeAdapter(WorkspaceName)


@router.get("", dependencies=READS)
async def training(
    request: Request,
    state: StateDep,
    principal: AdmittedDep,
    workspace: Text = "",
    folder: InWorkspace = "",
    file: InWorkspace = "",
    run: Text = "",
    pipeline: Text = "",
    cursor: Text = "",
) -> Response:
    """Choose a workspace; of one, everything. The form says what the run that is shown was started with."""
    shown: dict[str, Any] = {}
    typed = dict(DEFAULTS)
    if run:
        picture = await picture_of(run, state, principal)
        workspace, typed = picture.run.workspace, typed_for(picture.execution)
        shown = {"picture": picture, "run": picture.run}
    elif pipeline:
        found = await get_pipeline_run(pipeline, state.pipelines, state.programs, principal)
        workspace = found.workspace
        result = await result_of_pipeline(found, state, principal)
        shown = {"pipeline": found, "pipeline_result": result}
    if folder:
        typed |= {"folder": folder, "file": file}
    return await whole_page(request, state, principal, workspace, typed, cursor=cursor, **shown)


@router.get("/history", dependencies=READS)
async def history(
    request: Request,
    state: StateDep,
    principal: AdmittedDep,
    workspace: Text,
    cursor: Text = "",
) -> Response:
    """What has run in a workspace, newest first, as a part of the page."""
    found = await readable(workspace, state.workspaces, principal)
    return render(
        request, "training/history.html", workspace=found, **await ran_in(workspace, state, principal, cursor)
    )


@router.post("/workspaces", dependencies=SUBMITS)
async def make(request: Request, state: StateDep, principal: PrincipalDep) -> Response:
    """Make a workspace, then show it; one that is there, too, is shown. What is refused stays in the form."""
    typed = typed_in(await request.form())
    name = typed.get("name", "").strip()
    try:
        _NAME.validate_python(name)
        await put_workspace(name, state.workspaces, principal, Response())
        return see_other(request, page_of(name))
    except ValidationError as error:
        refusal, status = error.errors()[0]["msg"].removeprefix("Value error, ").capitalize(), 422
    except ServiceError as error:
        refusal, status = str(error), error.status
    present = typed.get("workspace", "")
    return await whole_page(
        request, state, principal, present, DEFAULTS, made=name, not_made=refusal, status=status
    )


@router.post("/check", dependencies=SUBMITS)
async def check(
    request: Request, state: StateDep, submissions: SubmissionsDep, principal: AdmittedDep
) -> Response:
    """How arguments will arrive, and what would be refused, as a part of the page; nothing is stored."""
    typed = typed_in(await request.form())
    errors: dict[str, str] = {}
    arguments: list[str] = []
    try:
        arguments = arguments_of(typed.get("arguments", ""))
        wanted = request_of(typed, typed.get("workspace", ""))
        await readable(typed.get("workspace", ""), state.workspaces, principal)
        await submissions.check(wanted.submission(typed.get("workspace", "")))
    except FormError as error:
        errors = error.errors
    except InvalidRequest as error:
        errors = {"": str(error)}
    return render(request, "training/check.html", arguments=arguments, errors=errors)


@router.post("", dependencies=SUBMITS)
async def start(request: Request, state: StateDep, access: AccessDep, principal: PrincipalDep) -> Response:
    """Start a program, and follow it on the same page; what is refused stays in the form."""
    typed = typed_in(await request.form())
    workspace = typed.get("workspace", "")
    await readable(workspace, state.workspaces, principal)
    try:
        wanted = request_of(typed, workspace)
        key = typed.get("key", "")[:SHORT_TEXT] or None
        run = await run_program(
            workspace,
            wanted,
            state.programs,
            state.submissions,
            access,
            principal,
            Response(),
            idempotency_key=key,
        )
        return see_other(request, page_of(workspace, run=run.id))
    except FormError as error:
        errors, status = error.errors, 422
    except ServiceError as error:
        errors, status = {_input_of(str(error)): str(error)}, error.status
        if isinstance(error, IdempotencyKeyReused):
            typed.pop("key", None)  # it stands for what was sent before, for good
    return await whole_page(request, state, principal, workspace, typed, errors=errors, status=status)


def _input_of(refusal: str) -> str:
    """The input that a refusal is about, which begins with its field."""
    field = refusal.partition(":")[0].partition(" ")[0]
    return {"program.file": "file", "program.folder": "folder", "algorithm_args": "arguments"}.get(field, "")
