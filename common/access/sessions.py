"""Sessions of the page: a signed cookie that names a token, and until when.

What the token may is not in it: that is looked up at every request, so that a session ends with its token.
"""

import time
from dataclasses import dataclass

from itsdangerous import BadSignature, URLSafeSerializer
from pydantic import SecretStr

COOKIE = "enel_session"


@dataclass(frozen=True)
class Session:
    """What a cookie says, once its signature was found to be ours."""

    token_id: str
    expires_at: int
    """Seconds since 1970."""


class Sessions:
    """Signs cookies, and reads them.

    Args:
        key: Services that share it take each other's sessions.
        lifetime_seconds: From the login on.
    """

    def __init__(self, key: SecretStr, lifetime_seconds: float) -> None:
        self.lifetime_seconds = int(lifetime_seconds)
        self.key = key
        self._serializer = URLSafeSerializer(key.get_secret_value(), salt="enel-session")

    def sign(self, token_id: str) -> str:
        """The value of a new session's cookie."""
        signed = self._serializer.dumps([token_id, int(time.time()) + self.lifetime_seconds])
        return signed if isinstance(signed, str) else signed.decode()

    def read(self, cookie: str) -> Session | None:
        """None: not signed by us, or expired."""
        try:
            token_id, expires_at = self._serializer.loads(cookie)
            session = Session(str(token_id), int(expires_at))
        except (BadSignature, ValueError, TypeError):
            return None
        return session if time.time() < session.expires_at else None
