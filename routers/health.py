"""Is the process alive, and can it do its work?"""

import asyncio
from typing import Literal

from fastapi import APIRouter
from pymongo.errors import PyMongoError

from common.errors import Unavailable
from common.wire.specs import WireModel
from routers.dependencies import MessagesDep, MongoDep
from routers.principal import OPEN

router = APIRouter(tags=["health"])


class Health(WireModel):
    status: str


class Readiness(Health):
    broker: Literal["answers", "away"] | None = None
    """Of messages, when it was last asked; away, requests over HTTP go on. Left out where there is none."""


_PING_SECONDS = 2.0
"""Probes give up after a few seconds, so the answer has to come before."""


@router.get("/healthz", openapi_extra=OPEN)
@router.head("/healthz", include_in_schema=False)
async def healthz() -> Health:
    """The process answers. Asks nobody else, so that it says nothing about them."""
    return Health(status="ok")


@router.get("/readyz", openapi_extra=OPEN, response_model_exclude_none=True)
@router.head("/readyz", include_in_schema=False)
async def readyz(mongo: MongoDep, messages: MessagesDep) -> Readiness:
    """503 while MongoDB is away."""
    try:
        async with asyncio.timeout(_PING_SECONDS):
            await mongo.admin.command("ping")
    except (PyMongoError, TimeoutError) as error:
        raise Unavailable("MongoDB does not answer.") from error
    if messages.opened is None:
        return Readiness(status="ok")
    return Readiness(status="ok", broker="answers" if messages.opened.broker.is_up else "away")
