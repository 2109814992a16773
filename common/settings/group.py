"""What every group of settings is made of."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""Of a checkout or an image; installed as a package, the folder of packages."""

IS_CHECKOUT = (PROJECT_ROOT / "main.py").is_file()

Port = Annotated[int, Field(ge=1, le=65535)]


def bundled(location: str) -> Path:
    """A file or folder that comes with the code but is none, by its path in a checkout."""
    return (PROJECT_ROOT if IS_CHECKOUT else PROJECT_ROOT / "app" / "bundled") / location


Timeout = Annotated[float, Field(ge=0.001, le=86_400)]
"""Seconds, a day at most: what is longer is no limit, and some clocks cannot count that far."""


def _separated_by_commas(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], NoDecode, BeforeValidator(_separated_by_commas)
]
"""Separated by commas."""


class SettingsGroup(BaseSettings):
    # The texts below settings are their description, in `docs/settings.md` too.
    model_config = SettingsConfigDict(
        case_sensitive=False,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,  # values may be secret
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
