"""Settings of the MongoDB behind the service."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from common.forms import Form
from common.settings.group import Port, SettingsGroup, Timeout

_LONGEST_DATABASE_NAME = 63
"""Bytes."""


class MongoSettings(SettingsGroup):
    """Where runs, jobs, decisions and trainings are kept."""

    mongodb_endpoint: str = ""
    """Host of the MongoDB to use (a replica set: transactions are needed), or a whole `mongodb://` address
    with all members and options, beside which MONGODB_PORT does not count; empty starts an embedded one."""

    mongodb_port: Port = 27017
    """TCP port of that host; the embedded MongoDB takes a free port."""

    mongodb_username: str = ""
    """Empty connects without authentication."""

    mongodb_password: SecretStr = SecretStr("")
    """Password of that user."""

    mongodb_database: Annotated[
        str,
        Field(min_length=1, max_length=63),
        Form(r"^[^/\\. \"$*<>:|?]+$", 'a name without spaces and /\\."$*<>:|?, such as enel_service'),
    ] = "enel_service"
    """Name of the database."""

    mongodb_timeout_seconds: Timeout = 5.0
    """Seconds until an operation on an unreachable MongoDB is answered with 503."""

    @field_validator("mongodb_database")
    @classmethod
    def _of_ones_own(cls, value: str) -> str:
        if value.lower() in ("admin", "config", "local"):
            raise ValueError("this database is MongoDB's own")
        if len(value.encode()) > _LONGEST_DATABASE_NAME or not value.isprintable():
            raise ValueError("not a name of a database")
        return value
