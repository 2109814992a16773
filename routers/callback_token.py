"""Who may report what happens in an application: listeners that show CALLBACK_TOKEN, where one is set."""

import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from common.errors import Unauthorized

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="callback token",
    description="CALLBACK_TOKEN, where the service has one; a driver finds it in ENEL_CALLBACK_TOKEN.",
)


def get_callback_token(request: Request) -> SecretStr:
    token: SecretStr = request.state.callback_token
    return token


def require_callback_token(
    expected: Annotated[SecretStr, Depends(get_callback_token)],
    shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Refuse a request without the token; without one in the settings, nothing is asked for.

    Raises:
        Unauthorized: The token is missing or another one.
    """
    token = expected.get_secret_value()
    if not token:
        return
    if shown is None:
        raise Unauthorized("This service wants a token from listeners (Authorization: Bearer …).")
    if not hmac.compare_digest(shown.credentials.encode(), token.encode()):
        raise Unauthorized("The token is not the one that this service wants from listeners.")


CallbackToken = Depends(require_callback_token)
