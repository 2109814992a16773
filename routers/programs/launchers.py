"""What launchers ask and report, each of its own execution alone."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response, status
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict

from common.log_context import application_execution_id as application_execution
from common.wire.specs import WireModel
from routers.dependencies import AccessDep, ProgramsDep
from routers.media.uploads import UploadDep
from routers.principal import BODY_BYTES, REPORTS, AdmittedDep
from routers.programs.people import begun
from routers.schemas import examples
from submission.programs.outputs import PART_BYTES, Completion, MissingParts, OutputDescription, Sha256
from submission.programs.reports import EndReport, ProgressReport, changes_of
from submission.programs.tasks import tar

router = APIRouter(prefix="/training/program_runs/{application_execution_id}", tags=["programs"])

_TAR: dict[int | str, dict[str, Any]] = {200: {"content": {"application/x-tar": {}}}}


async def _speaker(request: Request, application_execution_id: str, principal: AdmittedDep) -> str:
    application_execution.set(application_execution_id[:64])  # for the log
    principal.check_reports_of(application_execution_id)
    return application_execution_id


Speaker = Annotated[str, Depends(_speaker)]
"""The execution, whose own launcher asks."""


class Task(WireModel):
    """What to run, with what, and within which limits; see docs/programs.md."""

    model_config = ConfigDict(extra="forbid")  # what is left out here would never reach a launcher

    application_execution_id: str
    attempt: int
    """Of its driver's start; every report names it."""
    snapshot_id: str
    file: str
    arguments: list[str]
    files: list[dict[str, Any]]
    environment: str | None
    parent: dict[str, Any] | None
    feedback: bool
    """Whether there is an archive of what people have said of the model's predictions."""
    inputs: dict[str, list[dict[str, Any]]]
    output: dict[str, Any]
    limits: dict[str, Any]


class Heard(WireModel):
    attempt: int


@router.post("/start", dependencies=REPORTS)
async def start_task(execution_id: Speaker, programs: ProgramsDep) -> Task:
    """Begin, or begin anew: what an earlier start of the driver had reported is forgotten."""
    return Task(**await programs.tasks.start(execution_id))


@router.get("/archives/snapshot", dependencies=REPORTS, response_class=Response, responses=_TAR)
async def get_task_files(execution_id: Speaker, programs: ProgramsDep) -> Response:
    """The files that run."""
    return await _archive(await programs.tasks.snapshot_files(execution_id))


@router.get("/archives/parent", dependencies=REPORTS, response_class=Response, responses=_TAR)
async def get_task_parent(execution_id: Speaker, programs: ProgramsDep) -> Response:
    """The files of the version that served when it started."""
    return await _archive(await programs.tasks.parent_files(execution_id))


@router.get("/archives/inputs/{name}", dependencies=REPORTS, response_class=Response, responses=_TAR)
async def get_task_input(execution_id: Speaker, name: str, programs: ProgramsDep) -> Response:
    """What another program has left."""
    return await _archive(await programs.tasks.input_files(execution_id, name))


@router.get(
    "/environment",
    dependencies=REPORTS,
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
async def get_task_environment(execution_id: Speaker, programs: ProgramsDep) -> Response:
    """The environment that it runs in, as one file."""
    pieces = await begun(await programs.tasks.environment(execution_id))
    return StreamingResponse(pieces, media_type="application/octet-stream")


@router.post("/progress", dependencies=REPORTS)
async def report_progress(
    execution_id: Speaker,
    request: Request,
    report: Annotated[ProgressReport, examples.PROGRESS],
    programs: ProgramsDep,
    access: AccessDep,
) -> Heard:
    """Store what a program says of itself; the same report again changes nothing."""
    await access.count_report(execution_id, request.scope.get(BODY_BYTES, 0))
    await programs.tasks.running(execution_id)
    run = await programs.runs.of_attempt(execution_id, report.attempt)
    if changes := changes_of(run, report):
        await programs.runs.change(run, changes)
    return Heard(attempt=run.attempt)


@router.get("/archives/feedback", dependencies=REPORTS, response_class=StreamingResponse)
async def fetch_feedback(execution_id: Speaker, programs: ProgramsDep) -> Response:
    """What people have said of the model's predictions, as a tar; `feedback.jsonl` comes last."""
    content = await programs.tasks.feedback(execution_id)
    return StreamingResponse(await begun(content), media_type="application/x-tar")


@router.post("/output", dependencies=REPORTS)
async def describe_output(
    execution_id: Speaker,
    description: Annotated[OutputDescription, examples.OUTPUT],
    programs: ProgramsDep,
) -> MissingParts:
    """Say what a program has left; the answer says what of it is not here yet."""
    await programs.tasks.running(execution_id)
    run = await programs.runs.of_attempt(execution_id, description.attempt)
    return await programs.outputs.describe(run, description)


@router.put("/output/parts/{sha256}", status_code=status.HTTP_204_NO_CONTENT, dependencies=REPORTS)
async def put_output_part(
    execution_id: Speaker, sha256: Annotated[Sha256, Path()], upload: UploadDep, programs: ProgramsDep
) -> None:
    """Keep a part that was described, as it is; one that is here already is no error."""
    await programs.tasks.running(execution_id)
    await programs.outputs.put_part(execution_id, sha256, await upload.read(PART_BYTES, "a part"))


@router.post("/output/complete", dependencies=REPORTS)
async def complete_output(
    execution_id: Speaker, said: Annotated[Completion, examples.COMPLETION], programs: ProgramsDep
) -> Heard:
    """Say that all has come: when the application ends well, a version is made of it."""
    execution, program = await programs.tasks.running(execution_id)
    run = await programs.runs.of_attempt(execution.id, said.attempt)
    await programs.outputs.complete(run, unpublished=program.output == "version")
    await programs.tasks.ended(run)
    return Heard(attempt=run.attempt)


@router.post("/end", dependencies=REPORTS)
async def report_end(
    execution_id: Speaker, report: Annotated[EndReport, examples.END], programs: ProgramsDep
) -> Heard:
    """Store how a program ended that did not end well."""
    await programs.tasks.running(execution_id)
    run = await programs.runs.of_attempt(execution_id, report.attempt)
    await programs.runs.change(run, {"exit_code": report.exit_code, "end_reason": report.reason})
    await programs.tasks.ended(run)
    return Heard(attempt=run.attempt)


async def _archive(files: list[Any]) -> Response:
    return StreamingResponse(await begun(tar(files)), media_type="application/x-tar")
