"""The Secrets that an installation needs, made here and seen by nobody: contents, names, keys."""

import base64
import secrets

ADMIN_KEYS = ("token",)
MONGODB_KEYS = ("username", "password", "root-password", "keyfile")
"""As the chart's `mongodb.existingSecret` wants them."""

_KEY_FILE_BYTES = 512  # MongoDB takes no more than 1024 characters


def admin_secret(release: str) -> str:
    """Name of the Secret with the token of the first admin."""
    return f"{release}-admin"


def mongodb_secret(release: str) -> str:
    """Name of the Secret with which MongoDB's members and the service know each other."""
    return f"{release}-mongodb-credentials"


def new_content(keys: tuple[str, ...]) -> dict[str, str]:
    """A value for each key that nobody can guess."""
    return {key: _value(key) for key in keys}


def _value(key: str) -> str:
    if key == "username":
        return "enel"
    if key == "keyfile":
        return base64.b64encode(secrets.token_bytes(_KEY_FILE_BYTES)).decode()
    return secrets.token_hex(32)
