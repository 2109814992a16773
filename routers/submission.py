"""Submitting applications, reading their logs, and ending them."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse

from common.errors import InvalidRequest, NotFound
from routers import applications, schedules
from routers.dependencies import (
    REPLAYED,
    AccessDep,
    ExecutionsDep,
    IdempotencyKey,
    ProgramsDep,
    SubmissionsDep,
)
from routers.log_stream import LogStream
from routers.media.submissions import SubmissionRoute
from routers.principal import READS, SUBMITS, AdmittedDep, PrincipalDep, Requester, printable
from routers.schemas import examples
from routers.schemas.applications import ApplicationView, SubmitResponse, links_of
from submission.requests import SubmitRequest
from submission.submissions import SubmitOptions

router = APIRouter(prefix="/submission", tags=["submission"], route_class=SubmissionRoute)


@router.post("/submit", dependencies=SUBMITS)
async def submit(
    request: Annotated[SubmitRequest, examples.SUBMISSION],
    submissions: SubmissionsDep,
    programs: ProgramsDep,
    access: AccessDep,
    principal: PrincipalDep,
    response: Response,
    dry_run: bool = False,
    require_feasible: bool = False,
    idempotency_key: IdempotencyKey = None,
) -> SubmitResponse:
    """Submit an application; it waits for its turn if others run.

    The same request again with the same `Idempotency-Key`, or with the `name` of an application that has
    not ended, creates nothing: it is answered as the first one, with the header `Idempotent-Replayed`.
    `dry_run` stores and creates nothing and answers what would be, with the platform's own verdict.
    `require_feasible` refuses a runtime target that no scale-out is expected to meet (409).
    """
    await programs.rights.check_may_run(request, principal)
    options = SubmitOptions(
        policy=request.initial_scale_out_policy,
        shadow=request.shadow,
        name=request.name,
        idempotency_key=None if idempotency_key is None else f"key/{idempotency_key}",
        require_feasible=require_feasible,
        submitted_by=principal.name,
    )
    async with access.submitting(principal):
        if dry_run:
            return SubmitResponse.of(await submissions.dry_run(request, options), is_stored=False)
        submission = await submissions.submit(request, options)
    response.headers["Location"] = links_of(submission.execution.id)["self"]
    if submission.replayed:
        response.headers[REPLAYED] = "true"
    return SubmitResponse.of(submission)


@router.get(
    "/applications/{application_execution_id}/logs",
    dependencies=READS,
    response_class=Response,
    responses={200: {"content": {"text/plain": {}, "text/event-stream": {}}}},
)
async def get_logs(
    application_execution_id: str,
    submissions: SubmissionsDep,
    executions: ExecutionsDep,
    programs: ProgramsDep,
    principal: AdmittedDep,
    tail_lines: Annotated[int, Query(ge=1, le=10_000)] = 500,
    follow: bool = False,
    attempt: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
) -> Response:
    """The last lines that the driver wrote; 404 while there are none, with the reason where it is known.

    `attempt` asks for one that failed before another began, counted from 1: on Kubernetes, where the
    restart policy makes a pause between them.

    `follow` answers with server-sent events: a `log` event a line, those that are there first, and an `end`
    event when there will be no more, or a `problem` event, as JSON, where it cannot be read on.
    """
    await programs.rights.check_may_read(await executions.get(application_execution_id), principal)
    if follow:
        if attempt is not None:
            raise InvalidRequest("An attempt that another one followed is over: ask without `follow`.")
        lines = await submissions.follow_log(application_execution_id, tail_lines)
        return LogStream(lines)
    written = await submissions.read_log(application_execution_id, tail_lines, attempt)
    if written is None:
        of = f"an earlier attempt {attempt} of " if attempt is not None else ""
        raise NotFound(f"There is no driver log of {of}application execution {application_execution_id!r}.")
    return PlainTextResponse(written)


@router.delete("/applications/{application_execution_id}", dependencies=SUBMITS)
async def kill_application(
    application_execution_id: str,
    submissions: SubmissionsDep,
    executions: ExecutionsDep,
    principal: PrincipalDep,
    requested_by: Requester = "",
) -> ApplicationView:
    """End an application, running or waiting, and record who asked for it.

    That is whose token was shown; where none is needed, `requested_by`, or the header `X-Requested-By`, or
    else the caller's address. An operator may end what others submitted, too. Repeating it is safe: an
    application that has ended is answered as it is, COMPLETED, for instance, and not changed; but where it
    has failed and its driver reports all the same (`driver_reports`), the driver is ended.
    """
    present = await executions.get(application_execution_id)
    principal.check_owner(present.submitted_by, f"The application execution {present.id}")
    who = principal.name if principal.is_known else printable(requested_by) or principal.name
    execution = await submissions.kill(application_execution_id, who)
    return ApplicationView.of(execution)


router.include_router(applications.router)
router.include_router(schedules.router)
