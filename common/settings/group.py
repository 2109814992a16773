"""What every group of settings is made of."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from common.errors import StartError

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""Of a checkout or an image; installed as a package, the folder of packages."""

IS_CHECKOUT = (PROJECT_ROOT / "main.py").is_file()

Port = Annotated[int, Field(ge=1, le=65535)]


def bundled(location: str) -> Path:
    """A file or folder that comes with the code but is none, by its path in a checkout."""
    return (PROJECT_ROOT if IS_CHECKOUT else PROJECT_ROOT / "app" / "bundled") / location


Timeout = Annotated[float, Field(ge=0.001, le=86_400)]
"""Seconds, a day at most: what is longer is no limit, and some clocks cannot count that far."""


LARGEST_BYTES = 1 << 50
"""A petabyte: what is larger is a slip, and some of what counts bytes cannot."""

LARGEST_COUNT = 1_000_000_000


def separated_by_commas(value: object) -> object:
    """The parts of a text; what is none stays as it is."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], NoDecode, BeforeValidator(separated_by_commas)
]
"""Separated by commas."""


class SettingsGroup(BaseSettings):
    model_config = SettingsConfigDict(
        case_sensitive=False,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,  # values may be secret
        allow_inf_nan=False,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the code says, then the environment, then files that it names."""
        return init_settings, env_settings, _SecretFiles(settings_cls, env_settings)


class _SecretFiles(PydanticBaseSettingsSource):
    """Secrets from files, as Docker and Kubernetes mount them: ADMIN_TOKEN_FILE names that of ADMIN_TOKEN."""

    def __init__(self, settings_cls: type[BaseSettings], env_settings: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._environment: Any = getattr(env_settings, "env_vars", {})

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The file's text without the line's end; None where no file is named."""
        path = self._environment.get(f"{field_name}_file") if field.annotation is SecretStr else None
        if not path:
            return None, field_name, False
        setting = f"{field_name}_file".upper()
        if self._environment.get(field_name):
            raise StartError(f"{setting}: {field_name.upper()} is set, too; unset one of the two.")
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n"), field_name, False
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "is no text"
            raise StartError(f"{setting}: the file that it names cannot be read: {why}.") from error

    def __call__(self) -> dict[str, Any]:
        """By field, those that files are named for."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


def token(value: SecretStr) -> SecretStr:
    """Without space around it. Raises ValueError where it cannot stand in a header."""
    text = value.get_secret_value().strip()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("not a token: visible ASCII characters without spaces are")
    return SecretStr(text)
