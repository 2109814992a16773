"""A token as it is stored: whose it is, and a hash of its secret."""

from datetime import datetime
from typing import Any

from pydantic import Field

from common.auth import Role
from common.mongo.document import Document, UtcTime, utc_now


class AccessToken(Document):
    """What the service knows of a token; the secret itself is nowhere."""

    id: str = Field(alias="_id", serialization_alias="id")
    name: str
    """Who shows it, as records call them."""
    role: Role
    created_at: UtcTime = Field(default_factory=utc_now)
    created_by: str | None = None
    expires_at: UtcTime | None = None
    """Null: it does not."""
    revoked_at: UtcTime | None = None
    revoked_by: str | None = None
    last_used_at: UtcTime | None = None
    """To the minute."""
    application_execution_id: str | None = None
    """Of a listener's token: the only one that it is for."""

    def to_mongo(self) -> dict[str, Any]:
        document = self.model_dump(by_alias=False)
        document["_id"] = document.pop("id")
        return document

    def is_live(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class StoredToken(AccessToken):
    """With what only the repository has use for."""

    held_name: str | None = None
    """The name, until the token is revoked: of those that are not, only one has it."""
    secret_sha256: str = ""
    """Of 256 random bits, which nobody finds by trying: no slower hash, and no salt, would make it harder."""
