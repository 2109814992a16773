"""Settings of environments: how the packages that programs need are built, and kept."""

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from common.errors import StartError
from common.forms import Form
from common.settings.group import SettingsGroup, Timeout

_UNITS = {"m": 1 << 20, "g": 1 << 30}

_Bytes = Annotated[int, Field(ge=1 << 20, le=1 << 50)]


class EnvironmentSettings(SettingsGroup):
    """Environments of programs with a `requirements.txt`."""

    environment_cache_bytes: _Bytes = 4 << 30
    """Bytes that all packed environments together may take in the store; those that were not used for the
    longest time make room, but none that was used within the last hour."""

    environment_max_bytes: _Bytes = 1 << 30
    """Bytes that one packed environment may have; its build may take eight times as many of DATA_DIR."""

    environment_build_seconds: Timeout = 900.0
    """Seconds after which a build is ended."""

    environment_build_memory: Annotated[str, Form(r"^[1-9][0-9]{0,6}[mg]$", "a size such as 512m or 8g")] = (
        "2g"
    )
    """Memory that all processes of a build may occupy together; a build that takes more is ended."""

    environment_index_url: SecretStr = SecretStr("")
    """The only index that packages come from, such as `https://user:password@pypi.example.com/simple`; it may
    hold credentials, which no log shows. Empty: what pip's configuration on this machine says."""

    environment_allow_source_builds: bool = False
    """Whether packages without a wheel are built from their source: that runs their code on this machine, as
    the service's own user."""

    @model_validator(mode="after")
    def _fits_into_the_cache(self) -> Self:
        """Only what was set is looked at: what was not follows a smaller cache."""
        most = self.environment_cache_bytes
        if "environment_max_bytes" in self.model_fields_set and self.environment_max_bytes > most:
            raise StartError(f"ENVIRONMENT_MAX_BYTES: is more than ENVIRONMENT_CACHE_BYTES ({most}).")
        return self

    @property
    def build_memory_bytes(self) -> int:
        return int(self.environment_build_memory[:-1]) * _UNITS[self.environment_build_memory[-1]]
