"""A token's text: `enel_<id>_<secret>`, so that scanners of repositories recognize one that was leaked."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

_PREFIX = "enel"
_LONGEST = 200


@dataclass(frozen=True)
class TokenText:
    """The two parts of a token."""

    id: str
    secret: str

    @classmethod
    def new(cls) -> "TokenText":
        """A secret of 256 bits."""
        return cls(secrets.token_hex(8), secrets.token_urlsafe(32))

    @classmethod
    def parse(cls, text: str) -> "TokenText | None":
        """None: it cannot be a token of this service."""
        parts = text.split("_", 2) if len(text) <= _LONGEST else []
        if len(parts) != 3 or parts[0] != _PREFIX or not parts[1].isalnum() or not parts[2]:
            return None
        return cls(parts[1], parts[2])

    def __str__(self) -> str:
        return f"{_PREFIX}_{self.id}_{self.secret}"

    def __repr__(self) -> str:
        return f"TokenText({self.id!r}, ***)"

    @property
    def sha256(self) -> str:
        """Of the secret, as it is stored."""
        return hashlib.sha256(self.secret.encode("utf-8", "replace")).hexdigest()

    def is_of(self, secret_sha256: str) -> bool:
        """In a time that says nothing about where they differ."""
        return hmac.compare_digest(self.sha256, secret_sha256)
