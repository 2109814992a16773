"""Settings of serving: where models of teams answer, and how much they may take."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from common.settings.group import LARGEST_BYTES, SettingsGroup


class ServingSettings(SettingsGroup):
    """How versions that programs have left answer questions."""

    serving: bool = True
    """Whether versions of programs are served at all. Nothing of the engine runs before somebody asks."""

    ray_address: str = ""
    """Ray cluster that models are served on and trainings run their trials on, such as ray-head:6379; empty:
    one of the service's own, on this machine."""

    ray_auth_token: SecretStr = SecretStr("")
    """Of that cluster, where it wants one. Ray's own RAY_AUTH_MODE=token with RAY_AUTH_TOKEN_PATH, a file,
    does as well."""

    serving_python: bool | None = None
    """Whether prediction files of workspaces may answer, as processes of the engine's own user
    (docs/serving.md says what that does not protect from). Unset: yes, but not on this machine once access is
    by tokens. ONNX models are data, and are served in any case."""

    serving_max_models: Annotated[int, Field(ge=1, le=1000)] = 16
    """Models that are in memory at once; with more, the one that was asked longest ago makes room."""

    serving_max_waiting_bytes: Annotated[int, Field(ge=1 << 20, le=LARGEST_BYTES)] = 256 << 20
    """Bytes of questions that wait, with their images decoded, of all models together; beyond, each model has
    an equal share. No single question's images may take more either."""

    serving_upload_max_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 32 << 20
    """Bytes of one question, with all of its images."""

    serving_image_max_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 16 << 20
    """Bytes of one image, as it comes."""

    serving_image_max_pixels: Annotated[int, Field(ge=64, le=1 << 30)] = 40_000_000
    """Pixels of one image; more are refused before they are decoded."""

    serving_max_rows: Annotated[int, Field(ge=1, le=10_000)] = 256
    """Rows of one question; for more there are files of questions (docs/serving.md)."""

    serving_cache_bytes: Annotated[int, Field(ge=1 << 20, le=LARGEST_BYTES)] = 8 << 30
    """Bytes of versions and environments kept on this machine, below SERVING_CACHE_DIR; what serves stays."""

    serving_cache_dir: Path | None = None
    """Where they are kept; unset: `serving` in DATA_DIR."""

    serving_keep_predictions_days: Annotated[float, Field(gt=0, le=36_500)] = 14.0
    """Days for which predictions without feedback are remembered, with what was asked where that is kept."""

    serving_engine_idle_seconds: Annotated[float, Field(ge=1, le=365 * 86_400)] = 1800.0
    """After which an engine of the service's own ends that has no model loaded: it takes about 0.7 GB."""

    serving_default_model: str = ""
    """Model that `POST /predict` asks; empty: the only one that is served."""

    serving_feedback_rows: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    """Predictions with feedback, the latest, that the next training is given in ENEL_FEEDBACK_DIR."""
