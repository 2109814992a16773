"""Is the process alive, and can it do its work?"""

from fastapi import APIRouter, Response, status
from pydantic import BaseModel
from pymongo.errors import PyMongoError

from routers.dependencies import MongoDep

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: str


class Readiness(BaseModel):
    status: str
    mongodb: str


@router.get("/healthz")
async def healthz() -> Health:
    """The process answers. Asks nobody else, so that it says nothing about them."""
    return Health(status="ok")


@router.get("/readyz")
async def readyz(mongo: MongoDep, response: Response) -> Readiness:
    """503 while MongoDB is away."""
    try:
        await mongo.admin.command("ping")
    except PyMongoError as error:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return Readiness(status="unavailable", mongodb=type(error).__name__)
    return Readiness(status="ok", mongodb="ok")
