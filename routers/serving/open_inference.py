"""The Open Inference Protocol, version 2, for clients that exist: health, metadata, inference.

https://github.com/kserve/open-inference-protocol, with the extension for binary data. A model is named as in
`/serving/{model}`; errors have the protocol's `error` beside what all problems of this service have.
"""

import asyncio
import contextlib
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import Field

from common.auth import Principal
from common.errors import ServiceError
from common.models.registry import ModelVersionNotFound
from common.models.versions import CHAMPION, RegisteredModel, VersionState
from common.wire.specs import WireModel
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.open_inference.answers import write_answers
from prediction.inference.open_inference.requests import HEADER_LENGTH, read_request
from prediction.inference.questions import Prediction, RowOutcome
from prediction.inference.served.readiness import ServerState
from prediction.inference.tensor_questions import TensorQuestions
from routers.dependencies import ServingDep
from routers.principal import OPEN, READS, AdmittedDep
from routers.serving.asking import ServedName, asked_of
from routers.serving.declared import declaration_of
from routers.serving.reading import AskedBody, AskedDep
from submission.serving.opened import OpenServing

router = APIRouter(prefix="/v2", tags=["open inference protocol"])

_NAME = "enel-service"
_EXTENSIONS = ["binary_tensor_data"]

Version = Annotated[int, Path(ge=1, le=2**31)]


class ServerMetadata(WireModel):
    name: str = _NAME
    version: str
    extensions: list[str] = Field(default_factory=lambda: list(_EXTENSIONS))


class Live(WireModel):
    live: bool


class Ready(WireModel):
    ready: bool


class TensorMetadata(WireModel):
    name: str
    datatype: str
    shape: list[int]
    """-1 is any number; the first counts rows."""


class ModelMetadata(WireModel):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    """As far as the signature tells of them."""


class ModelReady(WireModel):
    name: str
    ready: bool


_INFER: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "id": {"type": "string"},
                        "inputs": {"type": "array", "minItems": 1, "items": {"type": "object"}},
                        "outputs": {"type": "array", "items": {"type": "object"}},
                    },
                },
                "examples": {
                    "one_row": {
                        "summary": "one row",
                        "value": {
                            "inputs": [{"name": "age", "datatype": "INT64", "shape": [1, 1], "data": [41]}]
                        },
                    }
                },
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_INFERRED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        }
    }
}


_NOT_READY: dict[int | str, dict[str, Any]] = {
    409: {"model": ModelReady, "description": "It does not answer"}
}
_OFF: dict[int | str, dict[str, Any]] = {409: {"model": Ready, "description": "SERVING is off"}}


@router.get("", openapi_extra=OPEN)
async def server_metadata(request: Request) -> ServerMetadata:
    """What answers here."""
    return ServerMetadata(version=request.app.version)


@router.get("/health/live", openapi_extra=OPEN)
async def server_live() -> Live:
    """The process answers."""
    return Live(live=True)


@router.get("/health/ready", openapi_extra=OPEN, responses=_OFF)
async def server_ready(serving: ServingDep, response: Response) -> Ready:
    """Whether models are served; each has its own readiness."""
    if not serving.is_on:
        response.status_code = 409
    return Ready(ready=serving.is_on)


@router.get("/models/{model}", dependencies=READS)
async def model_metadata(model: ServedName, serving: ServingDep, principal: AdmittedDep) -> ModelMetadata:
    """What the version that serves is asked with."""
    return await _metadata(await serving.named(model, principal), serving)


@router.get("/models/{model}/versions/{version}", dependencies=READS)
async def version_metadata(
    model: ServedName, version: Version, serving: ServingDep, principal: AdmittedDep
) -> ModelMetadata:
    """What one version is asked with."""
    found = await serving.named(model, principal)
    await serving.models.registry.get_version(found.name, version)
    return await _metadata(found, serving, version)


@router.get("/models/{model}/ready", dependencies=READS, responses=_NOT_READY)
async def model_ready(
    model: ServedName, serving: ServingDep, principal: AdmittedDep, response: Response
) -> ModelReady:
    """Whether the model answers, or would after it has been loaded."""
    return await _readiness(await serving.named(model, principal), None, serving, response)


@router.get("/models/{model}/versions/{version}/ready", dependencies=READS, responses=_NOT_READY)
async def version_ready(
    model: ServedName, version: Version, serving: ServingDep, principal: AdmittedDep, response: Response
) -> ModelReady:
    """Whether one version answers now."""
    return await _readiness(await serving.named(model, principal), version, serving, response)


@router.post(
    "/models/{model}/infer",
    dependencies=READS,
    response_class=Response,
    responses=_INFERRED,
    openapi_extra=_INFER,
)
async def infer(
    model: ServedName,
    body: AskedDep,
    serving: ServingDep,
    principal: AdmittedDep,
    header_length: Annotated[int | None, Header(alias=HEADER_LENGTH, ge=0)] = None,
) -> Response:
    """Ask the version that serves; the first dimension of tensors counts rows."""
    return await _infer(await serving.named(model, principal), None, body, serving, principal, header_length)


@router.post(
    "/models/{model}/versions/{version}/infer",
    dependencies=READS,
    response_class=Response,
    responses=_INFERRED,
    openapi_extra=_INFER,
)
async def infer_with_version(
    model: ServedName,
    version: Version,
    body: AskedDep,
    serving: ServingDep,
    principal: AdmittedDep,
    header_length: Annotated[int | None, Header(alias=HEADER_LENGTH, ge=0)] = None,
) -> Response:
    """Ask one of the versions that are loaded."""
    found = await serving.named(model, principal)
    return await _infer(found, version, body, serving, principal, header_length)


async def _infer(
    model: RegisteredModel,
    version: int | None,
    body: AskedBody,
    serving: OpenServing,
    principal: Principal,
    header_length: int | None,
) -> Response:
    content = await body.content()
    request = await asyncio.to_thread(read_request, content, header_length)
    questions = TensorQuestions(request, len(content), serving.story.most_rows)
    outcomes = await body.while_there(asked_of(model, questions, serving, principal, version))
    predictions = _all_of(outcomes)
    answers = [each.answer for each in predictions]
    name, number = model.name, str(predictions[0].version)
    written = await asyncio.to_thread(write_answers, answers, request, model_name=name, model_version=number)
    if written.json_length is None:
        return Response(written.content, media_type="application/json")
    headers = {HEADER_LENGTH: str(written.json_length)}
    return Response(written.content, media_type="application/octet-stream", headers=headers)


def _all_of(outcomes: list[RowOutcome]) -> list[Prediction]:
    """The protocol has no errors of single rows: the first one is that of the request."""
    found: list[Prediction] = []
    for each in outcomes:
        if isinstance(each, ServiceError):
            raise each
        found.append(each)
    return found


async def _metadata(
    model: RegisteredModel, serving: OpenServing, version: int | None = None
) -> ModelMetadata:
    served = await serving.models.repository.find(model.name)
    wanted = version or (served.options.version if served is not None else "champion")
    declaration = await declaration_of(model, wanted, serving)
    versions = await serving.models.registry.versions(model.name, limit=50)
    return ModelMetadata(
        name=model.name,
        versions=[str(each.version) for each in reversed(versions)],
        platform="enel",
        inputs=[
            TensorMetadata(name=each.name, datatype=each.datatype, shape=list(each.shape))
            for each in declaration.tensors()
        ],
        outputs=_outputs(declaration),
    )


def _outputs(declaration: Declaration) -> list[TensorMetadata]:
    output = declaration.output
    labels = len(output.labels) if output.labels else -1
    found = []
    if output.scores is not None:
        found.append(TensorMetadata(name=output.scores, datatype="FP64", shape=[-1, labels]))
    if output.label is not None:
        found.append(TensorMetadata(name=output.label, datatype="BYTES", shape=[-1]))
    if output.confidence is not None:
        found.append(TensorMetadata(name=output.confidence, datatype="FP64", shape=[-1]))
    return found


async def _readiness(
    model: RegisteredModel, version: int | None, serving: OpenServing, response: Response
) -> ModelReady:
    """Of a version now, or of the model once it is asked; 200 or, as the protocol has it, 4xx: its clients
    look at the status alone.
    """
    server = serving.models.known(model.name)
    if version is not None:
        await serving.models.registry.get_version(model.name, version)
        loaded = server.roles.values() if server is not None else ()
        is_ready = any(each.version.version == version for each in loaded)
    else:
        is_failed = server is not None and server.state is ServerState.FAILED
        is_ready = serving.is_on and not is_failed and await _is_there(model.name, serving)
    if not is_ready:
        response.status_code = 409
    return ModelReady(name=model.name, ready=is_ready)


async def _is_there(model: str, serving: OpenServing) -> bool:
    """Whether a model was not ended, and what is to answer for it can be loaded, or what did so last."""
    if await serving.models.repository.find_ended(model) is not None:
        return False
    served = await serving.models.repository.find(model)
    wanted = served.options.version if served is not None else CHAMPION
    number = (await serving.models.registry.get_model(model)).number_of(wanted)
    if number is None:
        return False
    last_good = served.last_good if served is not None else None
    for each in {number, last_good or number}:
        with contextlib.suppress(ModelVersionNotFound):
            if (await serving.models.registry.get_version(model, each)).state is VersionState.READY:
                return True
    return False
