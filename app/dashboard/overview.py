"""The first page: whether targets were met and at what price, and what needs attention."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

router = APIRouter()


@router.get("/")
async def overview(request: Request) -> Response:
    """For now, the applications."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/applications")
