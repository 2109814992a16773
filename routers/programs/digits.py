"""The example of handwritten digits: prepared and started with one request."""

from typing import Annotated

from fastapi import APIRouter, Response, status
from pydantic import Field

from common.forms import Form
from common.wire.specs import NoBoolean, RequestModel
from routers.dependencies import (
    REPLAYED,
    AccessDep,
    DigitsDep,
    IdempotencyKey,
    PipelinesDep,
    ProgramsDep,
)
from routers.principal import SUBMITS, PrincipalDep
from routers.schemas import examples
from submission.pipelines.digits import MADE_FILE, WORKSPACE
from submission.pipelines.documents import PipelineRun

router = APIRouter(prefix="/digits", tags=["digits"])


class TrainDigits(RequestModel):
    """What to train from; everything else has a default in `pipeline.yaml`."""

    images_batch_path: Annotated[
        Annotated[str, Form(r"^.+\.npz$", f"the path of an .npz, such as {MADE_FILE}")],
        Field(max_length=512, examples=[MADE_FILE]),
    ] = MADE_FILE
    """An .npz with `images` and `labels`: in the workspace `digits`, as hdfs://…, or on the driver's machine.
    `mnist.npz` is made where it is missing."""
    processes: Annotated[int, Field(ge=1, le=1024), NoBoolean] | None = None
    epochs: Annotated[int, Field(ge=1, le=10_000), NoBoolean] | None = None
    learning_rate: Annotated[float, Field(gt=0, lt=1), NoBoolean] | None = None
    anew: bool = False
    """Also run steps of which nothing has changed."""


@router.post(
    "/train",
    status_code=status.HTTP_201_CREATED,
    dependencies=SUBMITS,
    responses={200: {"model": PipelineRun, "description": "It was started before"}},
)
async def train_digits(
    request: Annotated[TrainDigits, examples.DIGITS],
    digits: DigitsDep,
    programs: ProgramsDep,
    pipelines: PipelinesDep,
    access: AccessDep,
    principal: PrincipalDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> PipelineRun:
    """Train on handwritten digits: process images, train in parallel on Spark, keep a version.

    Makes the workspace `digits` where it is missing, puts the example's files into it, and starts its
    pipeline. Files that somebody has changed stay as they are. Follow `GET /training/pipelines/{id}`.
    """
    async with access.submitting(principal):
        places = digits.places()
        await digits.ensure_workspace(principal)
        await programs.rights.check_may_run_workspace(WORKSPACE, principal)
        await digits.put_files(principal, request.images_batch_path)
        said = request.model_dump(exclude={"anew"}, exclude_none=True)
        run, is_new = await pipelines.start(
            WORKSPACE,
            anew=request.anew,
            parameters={**places, **said},
            by=principal.name,
            key=idempotency_key,
        )
    if not is_new:
        response.status_code = status.HTTP_200_OK
        response.headers[REPLAYED] = "true"
    response.headers["Location"] = f"/training/pipelines/{run.id}"
    return run
