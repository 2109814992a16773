"""Tokens of forms: who sends one has been shown the form, in the same session.

The cookie's `SameSite` and the check of `Origin` keep other pages out already; this holds where a browser
does not know either.
"""

from itsdangerous import BadData, URLSafeTimedSerializer
from pydantic import SecretStr

from common.errors import Forbidden

FIELD = "csrf_token"
"""Of a form."""


class CsrfTokens:
    """Signs tokens, and checks them.

    Args:
        key: As that of `common.access.sessions.Sessions`.
        lifetime_seconds: For which a form may be left open.
    """

    def __init__(self, key: SecretStr, lifetime_seconds: float = 12 * 3600.0) -> None:
        self._lifetime_seconds = int(lifetime_seconds)
        self._serializer = URLSafeTimedSerializer(key.get_secret_value(), salt="enel-csrf")

    def issue(self, session: str) -> str:
        """A token for a form of a session: its cookie's value, empty where access is open."""
        signed = self._serializer.dumps(session)
        return signed if isinstance(signed, str) else signed.decode()

    def check(self, session: str, token: str) -> None:
        """Return if the token is of a form of the session. Raises Forbidden."""
        try:
            of = self._serializer.loads(token, max_age=self._lifetime_seconds)
        except BadData:
            of = None
        if of != session:
            raise Forbidden(
                "The form is too old, or of another session: load the page again, and send it anew."
            )
