"""Whether whoever asks is still there: nobody works for those who have gone."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request
from starlette.types import Receive

from common.errors import ServiceError

Result = TypeVar("Result")


class ClientGone(ServiceError):
    """Whoever asked has gone: for the log and figures, since nobody is there to be told."""

    status, title = 499, "The client has gone"


async def while_there(request: Request, work: Awaitable[Result]) -> Result:
    """What some work returns, which is cancelled when its client goes. Its body has to have been read.

    Raises:
        ClientGone: It has.
    """
    try:
        async with asyncio.timeout(None) as patience:
            watching = asyncio.create_task(_until_gone(request.receive, patience))
            try:
                return await work
            finally:
                watching.cancel()
    except TimeoutError as error:
        if patience.expired():
            raise ClientGone("The client went before it was answered.") from error
        raise


async def _until_gone(receive: Receive, patience: asyncio.Timeout) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    patience.reschedule(asyncio.get_running_loop().time())
