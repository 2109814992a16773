"""Tokens and sessions: who may do what."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, status
from pydantic import Field, SecretStr, StringConstraints

from common.access.authenticators import ADMIN_NAME, LISTENERS_NAME, Shown, TokenAccess
from common.access.documents import AccessToken
from common.access.sessions import COOKIE
from common.auth import Permission, Principal, Role
from common.errors import Conflict, Forbidden, InvalidRequest
from common.forms import Form
from common.mongo.document import UtcTime, utc_now
from common.wire.events import Time
from common.wire.specs import WireModel
from routers.dependencies import AccessDep
from routers.pagination import Cursor, Hint, Unreadable, decode_cursor, encode_cursor, hint_for
from routers.principal import ADMINISTERS, OPEN, AdmittedDep
from routers.schemas import examples

router = APIRouter(prefix="/access", tags=["access"])

TokenName = Annotated[
    str,
    StringConstraints(max_length=100),
    Form(
        r"[A-Za-z0-9]([-A-Za-z0-9._@+ ]*[A-Za-z0-9])?",
        "letters, digits, spaces and -._@+, beginning and ending with a letter or digit, such as ada",
    ),
]

_RESERVED = (ADMIN_NAME, LISTENERS_NAME)


class CreateToken(WireModel):
    name: Annotated[TokenName, Field(examples=["ada"])]
    """Whose it is, as records will call them: letters, digits, spaces and `-._@+`. Only one token that is not
    revoked has it."""
    role: Annotated[Role, Field(examples=["submitter"])]
    """Not `listener`: those are made for each application execution."""
    expires_at: Time | None = None
    """Null: it does not."""


class TokenView(AccessToken):
    """A token, without its secret."""


class CreatedToken(TokenView):
    token: str
    """Shown this once; whoever has it is whom its name says."""


class TokenPage(WireModel):
    items: list[TokenView]
    """Newest first, revoked and expired ones too."""
    next_cursor: str | None
    hint: Hint
    unreadable: Unreadable


class Me(WireModel):
    name: str
    role: Role | None
    """Null: no token was shown, or none is needed."""
    permissions: list[Permission]
    expires_at: UtcTime | None = None
    application_execution_id: str | None = None
    """Of a listener: the only one that it may report of."""

    @classmethod
    def of(cls, principal: Principal, token: AccessToken | None = None) -> "Me":
        return cls(
            name=principal.name,
            role=principal.role,
            permissions=[each for each in Permission if principal.may(each)],
            expires_at=token.expires_at if token else None,
            application_execution_id=principal.application_execution_id,
        )


class LogIn(WireModel):
    token: SecretStr


@router.post("/tokens", status_code=status.HTTP_201_CREATED, dependencies=ADMINISTERS)
async def create_token(
    request: Annotated[CreateToken, examples.TOKEN],
    access: AccessDep,
    principal: AdmittedDep,
    response: Response,
) -> CreatedToken:
    """Make a token; its text is in this answer, and nowhere else."""
    if request.role is Role.LISTENER:
        raise InvalidRequest(
            "role: tokens of listeners are made for each application execution by the service itself;"
            " one for all of them is the setting CALLBACK_TOKEN."
        )
    if request.name.lower() in _RESERVED:
        raise InvalidRequest(f"name: {request.name} is the service's own; choose another one.")
    if request.expires_at is not None and request.expires_at <= utc_now():
        raise InvalidRequest("expires_at: that has passed; leave it out for a token that does not expire.")
    token, text = await access.tokens.issue(
        request.name, request.role, principal.name, _to_milliseconds(request.expires_at)
    )
    response.headers["Location"] = f"/access/tokens/{token.id}"
    response.headers["Cache-Control"] = "no-store"
    return CreatedToken(**token.model_dump(by_alias=False), token=str(text))


@router.get("/tokens", dependencies=ADMINISTERS)
async def list_tokens(
    access: AccessDep, limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: Cursor | None = None
) -> TokenPage:
    """Tokens of people, newest first; those of listeners belong to their application executions."""
    found = await access.tokens.stored.newest(before=decode_cursor(cursor), limit=limit + 1)
    page = found[:limit]
    return TokenPage(
        items=[_view(token) for token in page],
        next_cursor=encode_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None,
        hint=hint_for(page, "POST /access/tokens makes one.", cursor),
        unreadable=found.unreadable,
    )


@router.get("/tokens/{token_id}", dependencies=ADMINISTERS)
async def get_token(token_id: str, access: AccessDep) -> TokenView:
    """One token: whose it is, since when, and when it was last shown."""
    return _view(await access.tokens.stored.get(token_id))


@router.delete("/tokens/{token_id}", dependencies=ADMINISTERS)
async def revoke_token(token_id: str, access: AccessDep, principal: AdmittedDep) -> TokenView:
    """Let a token, and sessions that were begun with it, count no more: here at once, elsewhere in seconds.

    Repeating it is safe. The last token of an admin stays (409), unless the settings name one.
    """
    return _view(await access.tokens.revoke(token_id, principal.name))


@router.get("/me", openapi_extra=OPEN)
async def who_am_i(access: AccessDep, principal: AdmittedDep) -> Me:
    """Who asks, as the service sees them, and what they may."""
    token = None
    if principal.token_id is not None:
        token = await access.tokens.stored.find(principal.token_id)
    return Me.of(principal, token)


@router.post("/session", openapi_extra=OPEN)
async def log_in(
    request: Annotated[LogIn, examples.LOGIN], http: Request, access: AccessDep, response: Response
) -> Me:
    """Begin a session of the page: a cookie stands for the token from now on."""
    authenticator = access.authenticator
    if not isinstance(authenticator, TokenAccess):
        raise Conflict("Nobody has to log in here: access is open (ACCESS_CONTROL).")
    address = http.client.host if http.client else ""
    principal = await authenticator.identify(
        Shown(token=request.token.get_secret_value().strip(), address=address)
    )
    if principal.role is Role.LISTENER:
        raise Forbidden("A listener's token is for reports; log in with a reader's, for instance.")
    response.set_cookie(
        COOKIE,
        access.sessions.sign(authenticator.session_id_of(principal)),
        max_age=access.sessions.lifetime_seconds,
        httponly=True,
        samesite="strict",
        secure=http.url.scheme == "https",
    )
    response.headers["Cache-Control"] = "no-store"
    return Me.of(principal)


@router.delete("/session", status_code=status.HTTP_204_NO_CONTENT, openapi_extra=OPEN)
async def log_out(response: Response) -> None:
    """End the session of this browser."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _view(token: AccessToken) -> TokenView:
    return TokenView(**token.model_dump(by_alias=False))


def _to_milliseconds(moment: datetime | None) -> datetime | None:
    """As MongoDB stores it."""
    return None if moment is None else moment.replace(microsecond=moment.microsecond // 1000 * 1000)
