"""Versions of folders in workspaces."""

from typing import Annotated

from fastapi import APIRouter, Response, status
from pydantic import Field, StringConstraints

from common.models.versions import ModelVersion
from common.wire.specs import MetricGate, Name, RequestModel
from routers.dependencies import ServingDep
from routers.principal import SUBMITS, PrincipalDep
from routers.schemas import examples
from routers.schemas.workspaces import WorkspaceName

router = APIRouter(prefix="/workspaces", tags=["workspaces"])


class PublishFolder(RequestModel):
    """What becomes a version."""

    model: Name
    """Of which it becomes a version: `spark.<model>.program` in the registry."""
    folder: Annotated[str, StringConstraints(min_length=1, max_length=512)] = "."
    """With a model.onnx or a predict.py, and what docs/serving.md says beside it."""
    gate: Annotated[MetricGate, Field(description="A version with a worse figure does not serve.")] | None = (
        None
    )


@router.post("/{workspace}/versions", status_code=status.HTTP_201_CREATED, dependencies=SUBMITS)
async def publish_folder(
    workspace: WorkspaceName,
    request: Annotated[PublishFolder, examples.FOLDER],
    serving: ServingDep,
    principal: PrincipalDep,
    response: Response,
) -> ModelVersion:
    """Make a version of a folder, as of an ONNX model that was exported elsewhere; it serves at once, unless
    the gate keeps it back. The same files are the same version."""
    version = await serving.folders.publish(workspace, request.folder, request.model, request.gate, principal)
    response.headers["Location"] = f"/models/{version.name}/versions/{version.version}"
    return version
