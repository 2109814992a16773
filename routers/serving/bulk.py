"""Files of questions, answered by a Spark application."""

from typing import Annotated

from fastapi import APIRouter, Response, status

from prediction.inference.served.documents import ServingOptions
from routers.dependencies import AccessDep, IdempotencyKey, ProgramsDep, ServingDep, SubmissionsDep
from routers.principal import SUBMITS, PrincipalDep
from routers.programs.people import run_program
from routers.programs.views import ProgramRunView
from routers.schemas import examples
from routers.serving.asking import ServedName
from submission.serving.bulk.answers import AnswerFile

router = APIRouter(prefix="/serving", tags=["serving"])


@router.post(
    "/{model}/bulk",
    status_code=status.HTTP_201_CREATED,
    dependencies=SUBMITS,
    responses={200: {"model": ProgramRunView, "description": "It was started before"}},
)
async def answer_file(
    model: ServedName,
    request: Annotated[AnswerFile, examples.BULK],
    serving: ServingDep,
    programs: ProgramsDep,
    submissions: SubmissionsDep,
    access: AccessDep,
    principal: PrincipalDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ProgramRunView:
    """Answer a file of questions with the model, as an application on Spark with a runtime target.

    It is a run of a program: `GET /training/program_runs/{id}` follows it, and
    `GET /training/program_runs/{id}/output/answers.jsonl` has a line for each question, with its answer or
    its error. Predictions of files are not remembered one by one.
    """
    found = await serving.named(model, principal)
    await programs.rights.check_may_run_workspace(request.workspace, principal)
    served = await serving.models.repository.find(found.name)
    options = served.options if served is not None else ServingOptions()
    current = await serving.models.registry.get_model(found.name)  # which version an alias names now
    started = await serving.bulk.prepare(current, request, options, principal)
    return await run_program(
        request.workspace, started, programs, submissions, access, principal, response, idempotency_key
    )
