"""Settings of trainings."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_core import from_json
from pydantic_settings import NoDecode

from common.settings.group import LARGEST_COUNT, SettingsGroup, Timeout
from common.triggers import Cron, Every


class TrainingSettings(SettingsGroup):
    """Pretraining."""

    drift_error_ratio: Annotated[float, Field(ge=1, le=100)] = 2.0
    """A model has drifted when forecasts of its last runs are wrong by this many times what was measured when
    it was promoted."""

    drift_runs: Annotated[int, Field(ge=1, le=20)] = 5
    """Finished runs that it takes to say so."""

    train_on_drift: bool = False
    """Whether a model that has drifted is trained anew, once for each version."""

    training_trials: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Hyperparameter trials of one training, unless the request says otherwise; unset: those of
    training/search/config.py (40)."""

    training_concurrent_trials: Annotated[int, Field(ge=1, le=256)] = 2
    """Trials that run at once; each takes one core. Up to four, their number does not change the model."""

    training_seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of the search and of every trial: the same history gives the same model."""

    training_max_history_runs: Annotated[int, Field(ge=1, le=100_000)] = 60
    """Most recent runs that a training learns from; more than 60 count as 60."""

    training_max_seconds: Annotated[float, Field(ge=1, le=31 * 86_400)] = 21_600.0
    """Seconds that one attempt of a training may take; then it has failed, and the next one begins."""

    training_max_unfinished: Annotated[int, Field(ge=1, le=LARGEST_COUNT)] = 100
    """Trainings that one person may have waiting and under way."""

    training_heartbeat_seconds: Timeout = 2.0
    """Seconds between heartbeats of a training; after five missed ones it counts as dead."""

    training_interval: str = ""
    """Train every algorithm anew that often, such as `24h` or `7d` (a number alone is seconds), where
    there was something new to learn from; empty: only by request."""

    training_schedules: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)
    """Cron expressions by algorithm, in place of the interval, as JSON: `{"KMeans": "0 3 * * *"}`."""

    training_time_zone: str = "UTC"
    """Time zone of the cron expressions, such as `Europe/Berlin`."""

    promotion_tolerance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share by which a new model version's error may exceed the present one's for it to serve."""

    @property
    def interval(self) -> Every | None:
        return Every.parse(self.training_interval) if self.training_interval else None

    @property
    def cron_schedules(self) -> dict[str, Cron]:
        """By algorithm."""
        return {
            algorithm: Cron.parse(expression, self.training_time_zone)
            for algorithm, expression in self.training_schedules.items()
        }

    @field_validator("training_interval")
    @classmethod
    def _interval(cls, value: str) -> str:
        if value:
            Every.parse(value)
        return value

    @field_validator("training_schedules", mode="before")
    @classmethod
    def _json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return from_json(value)
        except ValueError as error:
            raise ValueError('not JSON, such as {"KMeans": "0 3 * * *"}') from error

    @field_validator("training_schedules")
    @classmethod
    def _cron_expressions(cls, value: dict[str, str]) -> dict[str, str]:
        for expression in value.values():
            Cron.parse(expression)
        return value

    @field_validator("training_time_zone")
    @classmethod
    def _time_zone(cls, value: str) -> str:
        return Cron.parse("0 0 * * *", value).time_zone
