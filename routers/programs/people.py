"""Starting programs, and looking at what becomes of them."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from common.access.control import AccessControl
from common.auth import Principal
from common.errors import InvalidRequest, NotFound
from common.executions.documents import ApplicationExecution
from common.executions.filter import ExecutionFilter
from common.wire.specs import WireModel, WorkspaceName
from routers.dependencies import (
    REPLAYED,
    AccessDep,
    ExecutionsDep,
    IdempotencyKey,
    MessagesDep,
    ProgramsDep,
    SubmissionsDep,
)
from routers.pagination import Cursor, Limit, decode_cursor, encode_cursor, hint_for
from routers.principal import READS, SUBMITS, PrincipalDep
from routers.programs.views import ProgramRunDetails, ProgramRunPage, ProgramRunView, links_of
from routers.schemas import examples
from submission.messages.opened import TrainingMessages
from submission.program_requests import StartProgram
from submission.programs.figures import METRICS_FILE, MOST_BYTES, RESULT_FILE, Unreadable, read_object
from submission.programs.opened import OpenPrograms
from submission.requests import SubmitRequest
from submission.service import SubmissionService
from submission.submissions import SubmitOptions

router = APIRouter(prefix="/training", tags=["programs"])

Workspace = Annotated[WorkspaceName, Path()]


class SentRequest(WireModel):
    """A request that the broker has."""

    id: str
    """Of the message: the Idempotency-Key, or a new one."""
    topic: str
    partition: int
    offset: int


@router.post(
    "/programs/{workspace}/runs",
    status_code=status.HTTP_201_CREATED,
    dependencies=SUBMITS,
    responses={
        200: {"model": ProgramRunView, "description": "It was started before"},
        202: {"model": SentRequest, "description": "The broker has it"},
    },
)
async def start_program(
    workspace: Workspace,
    request: Annotated[StartProgram, examples.PROGRAM],
    programs: ProgramsDep,
    submissions: SubmissionsDep,
    messages: MessagesDep,
    access: AccessDep,
    principal: PrincipalDep,
    response: Response,
    via: Annotated[Literal["kafka"] | None, Query()] = None,
    idempotency_key: IdempotencyKey = None,
) -> ProgramRunView | SentRequest:
    """Run a program of a workspace, as an application with a runtime target.

    It runs the files that are there now, whatever changes afterwards. What it leaves in ENEL_OUTPUT_DIR
    becomes a version of its model. Where its folder holds a requirements.txt, it starts when that environment
    is built.

    `via=kafka` sends the request to the broker that is configured; the run starts when it comes back.
    """
    if via is None:
        return await run_program(
            workspace, request, programs, submissions, access, principal, response, idempotency_key
        )
    submission = await _allowed(workspace, request, programs, principal)
    response.status_code = status.HTTP_202_ACCEPTED
    return await _send(workspace, request, submission, programs, messages, idempotency_key)


async def run_program(
    workspace: str,
    request: StartProgram,
    programs: OpenPrograms,
    submissions: SubmissionService,
    access: AccessControl,
    principal: Principal,
    response: Response,
    idempotency_key: str | None = None,
) -> ProgramRunView:
    """Start it here; for whoever takes the same request in another form, too."""
    submission = await _allowed(workspace, request, programs, principal)
    options = SubmitOptions(
        name=submission.name,
        idempotency_key=None if idempotency_key is None else f"key/{idempotency_key}",
        submitted_by=principal.name,
    )
    async with access.submitting(principal):
        found = await submissions.submit(submission, options)
    response.headers["Location"] = links_of(found.execution.id)["self"]
    if found.replayed:
        response.headers[REPLAYED] = "true"
        response.status_code = status.HTTP_200_OK
    return ProgramRunView.of(found.execution, await programs.runs.find(found.execution.id))


async def _allowed(
    workspace: str, request: StartProgram, programs: OpenPrograms, principal: Principal
) -> SubmitRequest:
    """What the request stands for. Raises RequestValidationError, WorkspaceNotFound or Forbidden."""
    try:
        submission = request.submission(workspace)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    await programs.rights.check_may_run(submission, principal)
    return submission


async def _send(
    workspace: str,
    request: StartProgram,
    submission: SubmitRequest,
    programs: OpenPrograms,
    messages: TrainingMessages,
    message_id: str | None,
) -> SentRequest:
    """Send it, unless it would be set aside for whom messages run for."""
    if messages.opened is None:
        raise InvalidRequest("via: this service has no broker (KAFKA_ENDPOINT).")
    await programs.rights.check_may_run(submission, messages.opened.principal)
    return SentRequest(**await messages.opened.request(workspace, request, message_id))


@router.get("/programs/{workspace}/runs", dependencies=READS)
async def list_program_runs(
    workspace: Workspace,
    executions: ExecutionsDep,
    programs: ProgramsDep,
    principal: PrincipalDep,
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> ProgramRunPage:
    """Runs of a workspace's programs, newest first."""
    await programs.rights.check_may_read_workspace(workspace, principal)
    wanted = ExecutionFilter(workspace=workspace)
    found = await executions.newest(wanted, before=decode_cursor(cursor), limit=limit + 1)
    page = found[:limit]
    runs = await programs.runs.many([execution.id for execution in page])
    return ProgramRunPage(
        items=[ProgramRunView.of(execution, runs.get(execution.id)) for execution in page],
        next_cursor=encode_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None,
        hint=hint_for(page, f"POST /training/programs/{workspace}/runs starts one.", cursor),
        unreadable=found.unreadable,
    )


@router.get("/program_runs/{application_execution_id}", dependencies=READS)
async def get_program_run(
    application_execution_id: str, executions: ExecutionsDep, programs: ProgramsDep, principal: PrincipalDep
) -> ProgramRunDetails:
    """One run: state, progress, curves, and what it has left."""
    execution = await _of_a_program(application_execution_id, executions)
    await programs.rights.check_may_read(execution, principal)
    return ProgramRunDetails.of(execution, await programs.runs.find(execution.id))


@router.post("/program_runs/{application_execution_id}/cancel", dependencies=SUBMITS)
async def cancel_program_run(
    application_execution_id: str,
    executions: ExecutionsDep,
    programs: ProgramsDep,
    submissions: SubmissionsDep,
    principal: PrincipalDep,
) -> ProgramRunView:
    """End a run, as `DELETE /submission/applications/{application_execution_id}` does; it becomes no version.

    Repeating it is safe: a run that has ended is left as it is.
    """
    execution = await _of_a_program(application_execution_id, executions)
    principal.check_owner(execution.submitted_by, f"The run {execution.id}")
    killed = await submissions.kill(execution.id, principal.name)
    return ProgramRunView.of(killed, await programs.runs.find(execution.id))


@router.get("/program_runs/{application_execution_id}/result", dependencies=READS)
async def get_program_result(
    application_execution_id: str, executions: ExecutionsDep, programs: ProgramsDep, principal: PrincipalDep
) -> dict[str, Any]:
    """The result of a run: its result.json, or else its metrics.json; 404 while there is neither."""
    return await result_of(application_execution_id, executions, programs, principal)


async def result_of(
    application_execution_id: str, executions: ExecutionsDep, programs: ProgramsDep, principal: PrincipalDep
) -> dict[str, Any]:
    """The JSON object that a run has left as its result. Raises NotFound where there is none."""
    execution = await _of_a_program(application_execution_id, executions)
    await programs.rights.check_may_read(execution, principal)
    run = await programs.runs.find(execution.id)
    output = run.output if run is not None else None
    for path in (RESULT_FILE, METRICS_FILE):
        if output is not None and output.find(path) is not None:
            file = programs.outputs.file(run, path)
            if file.size_bytes > MOST_BYTES:
                raise NotFound(f"{path} is larger than {MOST_BYTES:,} bytes; fetch it as a file.")
            try:
                return read_object(await programs.outputs.read(execution.id, file), path)
            except Unreadable as error:
                raise NotFound(str(error)) from error
    raise NotFound(f"The run has left neither {RESULT_FILE} nor {METRICS_FILE} (yet).")


@router.get(
    "/program_runs/{application_execution_id}/output/{path:path}",
    dependencies=READS,
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
async def get_program_output(
    application_execution_id: str,
    path: str,
    executions: ExecutionsDep,
    programs: ProgramsDep,
    principal: PrincipalDep,
) -> Response:
    """A file that a run has left."""
    execution = await _of_a_program(application_execution_id, executions)
    await programs.rights.check_may_read(execution, principal)
    file = programs.outputs.file(await programs.runs.find(execution.id), path)
    return StreamingResponse(
        await begun(programs.outputs.stream(execution.id, file)),
        media_type="application/octet-stream",
        headers={
            "Content-Length": str(file.size_bytes),
            "Content-Disposition": "attachment",  # nothing that a program left is shown as a page of ours
            "ETag": f'"{file.sha256}"',
        },
    )


async def begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces; what is wrong with the first one is an answer, and no stream that breaks off."""
    first = await anext(pieces, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_of_them()


async def _of_a_program(application_execution_id: str, executions: ExecutionsDep) -> ApplicationExecution:
    execution = await executions.get(application_execution_id)
    if execution.program is None:
        raise NotFound(f"The application execution {execution.id} runs no program of a workspace.")
    return execution
