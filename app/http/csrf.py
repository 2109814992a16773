"""Tokens of forms: who sends one has been shown the form, in the same session or under the same name.

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

    They outlive the cookie: whoever logs in again goes on with the forms that are open.

    Args:
        key: As that of `common.access.sessions.Sessions`.
        lifetime_seconds: For which a form may be left open; not shorter than the longest session.
    """

    def __init__(self, key: SecretStr, lifetime_seconds: float = 30 * 86_400.0) -> None:
        self._lifetime_seconds = int(lifetime_seconds)
        self._serializer = URLSafeTimedSerializer(key.get_secret_value(), salt="enel-csrf")

    def issue(self, session: str, name: str) -> str:
        """A token for a form.

        Args:
            session: Id of the token that a session was begun with; empty where there is none.
            name: Of who is shown the form; empty where nobody is known.
        """
        signed = self._serializer.dumps([session, name])
        return signed if isinstance(signed, str) else signed.decode()

    def check(self, session: str, name: str, token: str) -> None:
        """Return if the token is of a form of this session, or of whoever has this name. Raises Forbidden."""
        try:
            of_session, of_name = self._serializer.loads(token, max_age=self._lifetime_seconds)
        except (BadData, TypeError, ValueError):
            of_session, of_name = None, ""
        if of_session != session and not (name and of_name == name):
            raise Forbidden(
                "The form is too old, or of another session: load the page again, and send it anew."
            )
