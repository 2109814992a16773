"""Settings of the HTTP server."""

from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import Field, field_validator

from common.addresses import check_host
from common.settings.group import IS_CHECKOUT, PROJECT_ROOT, Port, SettingsGroup


class ServerSettings(SettingsGroup):
    """The HTTP server."""

    host: str = "127.0.0.1"
    """Address to listen on. Loopback only, unless set: beyond it, ADMIN_TOKEN or ACCESS_CONTROL has to say
    who may do what."""

    port: Port = 5000
    """TCP port to listen on."""

    logging_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    """Least severe level that is logged."""

    log_format: Literal["text", "json"] = "text"
    """Lines for people, or `json`: an object a line, with the ids of request and application execution."""

    data_dir: Path = PROJECT_ROOT / ".enel" if IS_CHECKOUT else Path(platformdirs.user_data_dir("enel"))
    """Folder for everything embedded: MongoDB's files, models, driver logs, training folders. Installed as
    a package, `~/.local/share/enel`."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 8 * 1024 * 1024
    """Bytes. Largest request body; a job with a thousand stages needs about half a megabyte."""

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        return check_host(value.strip())

    @field_validator("logging_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value
