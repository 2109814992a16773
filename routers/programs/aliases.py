"""Starting a program and polling its log, as clients in the field do: thin aliases."""

import json
import shlex
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import Field, StringConstraints, ValidationError, field_validator
from starlette.datastructures import FormData

from common.errors import InvalidRequest, NotFound
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.filter import ExecutionFilter
from common.executions.repository import ExecutionRepository
from common.wire.specs import INT64_MAX, SHORT_TEXT, WireModel, WorkspaceName
from routers.dependencies import (
    AccessDep,
    ExecutionsDep,
    IdempotencyKey,
    ProgramsDep,
    SubmissionsDep,
    WorkspacesDep,
)
from routers.media.accepting import wants_text
from routers.principal import READS, SUBMITS, PrincipalDep
from routers.programs.people import run_program
from submission.program_requests import StartProgram

router = APIRouter(tags=["programs"])

DONE = "[DONE]"
"""The line after the last one, of a log as plain text."""

User = Annotated[WorkspaceName, Path(description="The workspace.")]

_MOST_FIELDS = 300


class TrainingRequest(WireModel):
    """What such clients say; everything has a default."""

    file: Annotated[str, StringConstraints(min_length=1, max_length=512)] = "train.py"
    """Of the folder."""
    location: Annotated[str, StringConstraints(min_length=1, max_length=512)] = "."
    """The folder of the workspace."""
    arguments: Annotated[list[Any], Field(max_length=256)] | str = Field(default_factory=list)
    """A list, a text with a list as JSON, or one line that is split as a shell would."""

    @field_validator("arguments")
    @classmethod
    def _split(cls, arguments: list[Any] | str) -> list[Any]:
        return arguments_of(arguments) if isinstance(arguments, str) else arguments


class StartedTraining(WireModel):
    message: str
    run_id: str
    logs: str
    """Where to poll this run's log."""


class LogLines(WireModel):
    lines: list[str]
    """Without their ends; a line of more than 16 KiB counts as several."""
    offset: int
    """To ask for next."""
    finished: bool
    """Whether the run has ended, and every line was told."""
    run_id: str
    state: ApplicationState
    state_reason: str


_EXAMPLES = {
    "all_defaults": {"summary": "all defaults", "value": {}},
    "as_clients_send_it": {
        "summary": "as clients send it",
        "value": {"file": "train.py", "location": "digits", "arguments": ["--epochs", "3"]},
    },
}

_BODY = {
    "requestBody": {
        "required": False,
        "content": {
            kind: {"schema": TrainingRequest.model_json_schema(), "examples": _EXAMPLES}
            for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
        },
    }
}


@router.post("/train/{user}", dependencies=SUBMITS, openapi_extra=_BODY)
async def train(
    user: User,
    request: Request,
    programs: ProgramsDep,
    submissions: SubmissionsDep,
    access: AccessDep,
    principal: PrincipalDep,
    idempotency_key: IdempotencyKey = None,
) -> StartedTraining:
    """Run a program of a workspace, as `POST /training/programs/{workspace}/runs` does.

    The body is JSON or a form; every field has a default.
    """
    wanted = await _wanted(request)
    run = await run_program(
        user, wanted, programs, submissions, access, principal, Response(), idempotency_key
    )
    return StartedTraining(
        message=f"{wanted.file} of {user} was started.", run_id=run.id, logs=f"/logs/{user}?run_id={run.id}"
    )


@router.get(
    "/logs/{user}",
    dependencies=READS,
    response_class=Response,
    responses={200: {"model": LogLines, "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def poll_log(
    user: User,
    executions: ExecutionsDep,
    workspaces: WorkspacesDep,
    programs: ProgramsDep,
    submissions: SubmissionsDep,
    principal: PrincipalDep,
    offset: Annotated[int, Query(ge=0, le=INT64_MAX, description="How many lines were told before.")] = 0,
    run_id: Annotated[
        str | None, Query(max_length=SHORT_TEXT, description="Otherwise the workspace's latest run.")
    ] = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Lines of a run's log, from one on: ask again from `offset` until `finished`.

    Each line comes once, and as many of them as fit into an answer. With `Accept: text/plain` the lines
    alone, and when the run has ended and all of them were told, a line `[DONE]`.
    """
    run = await _run(user, run_id, executions) if run_id else await _latest(user, executions)
    if run is not None:
        await programs.rights.check_may_read(run, principal)
    if run is None:
        await programs.rights.check_may_read_workspace(user, principal)
        raise NotFound(
            f"No program of {user!r} has run (yet)." if not run_id else f"{user!r} has no such run."
        )
    found = await submissions.read_lines(run.id, offset)
    if wants_text(accept):
        lines = [*found.lines, DONE] if found.finished else found.lines
        headers = {"X-Run-Id": run.id, "X-Log-Offset": str(found.next), "Vary": "Accept"}
        return PlainTextResponse("".join(f"{line}\n" for line in lines), headers=headers)
    answer = LogLines(
        lines=found.lines,
        offset=found.next,
        finished=found.finished,
        run_id=run.id,
        state=run.state,
        state_reason=run.state_reason,
    )
    return JSONResponse(
        answer.model_dump(mode="json"), headers={"Vary": "Accept", "Cache-Control": "no-store"}
    )


def arguments_of(text: str) -> list[Any]:
    """Of a list as JSON, or of one line. Raises ValueError where it is neither."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"what begins with [ is read as a list in JSON, and this is none ({error})"
            ) from error
        assert isinstance(found, list), "it begins like one"
        return found
    try:
        return list(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"one line is split as a shell does it: {error}") from error


async def _wanted(request: Request) -> StartProgram:
    """Raises InvalidRequest or RequestValidationError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body: Any
    if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        body = _fields(await request.form(max_files=_MOST_FIELDS, max_fields=_MOST_FIELDS))
    else:
        content = await request.body()
        try:
            body = json.loads(content) if content.strip() else {}
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(f"The body is no JSON: {error}.") from error
    try:
        said = TrainingRequest.model_validate(body)
        return StartProgram(file=said.file, folder=said.location, arguments=list(said.arguments))
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_context=False)) from error


def _fields(form: FormData) -> dict[str, Any]:
    """Of a form; a field that comes several times, as clients send a list, is one."""
    found: dict[str, Any] = {}
    for name in form:
        values = form.getlist(name)
        if name.lstrip().startswith("{"):  # what `curl -d '{…}'` sends
            raise InvalidRequest("This is a form that looks like JSON: send it as `application/json`.")
        if name not in TrainingRequest.model_fields:
            continue
        if not all(isinstance(value, str) for value in values):
            raise InvalidRequest(
                f"{name} is a text, such as train.py; files are put into the workspace before"
                " (PUT /workspaces/{workspace}/files/{path})."
            )
        found[name] = values if len(values) > 1 else values[0]
    return found


async def _latest(user: str, executions: ExecutionRepository) -> ApplicationExecution | None:
    found = await executions.newest(ExecutionFilter(workspace=user), limit=1)
    return found[0] if found else None


async def _run(user: str, run_id: str, executions: ExecutionRepository) -> ApplicationExecution | None:
    run = await executions.get(run_id)
    return run if run.program is not None and run.program.workspace == user else None
