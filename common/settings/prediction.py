"""Settings of predictions, and of how sure a choice has to be."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.errors import StartError
from common.settings.group import LARGEST_BYTES, LARGEST_COUNT, Names, SettingsGroup, Timeout


class PredictionSettings(SettingsGroup):
    """Online recommendations."""

    prediction_workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that fine-tune and forecast; each takes one core and about 270 MB."""

    prediction_timeout_seconds: Timeout = 10.0
    """Seconds for fine-tuning and forecasting; then the worker is replaced, and Ernest's curves answer."""

    prediction_wait_seconds: Timeout = 20.0
    """Seconds beyond PREDICTION_TIMEOUT_SECONDS for which a forecast waits for a worker; then it fails."""

    prediction_cache_entries: Annotated[int, Field(ge=1, le=LARGEST_COUNT)] = 32
    """Model versions kept in memory."""

    prediction_cache_bytes: Annotated[int, Field(ge=1, le=LARGEST_BYTES)] = 512 * 1024 * 1024
    """Bytes of model versions kept in memory; a version that is larger alone is read every time."""

    target_confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.97
    """Chance of meeting the runtime target that a scale-out must have to be chosen; stalls aside that befall
    runs with any scale-out."""

    stay_confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.97
    """The same for the present scale-out; lower values rescale less often, and miss more. At most
    `TARGET_CONFIDENCE`; unset, it follows a lower one."""

    scale_in_confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.97
    """The same for a scale-out below the present one: a wrong scale-in is costly to mend. At least
    `TARGET_CONFIDENCE`; unset, it follows a higher one."""

    scale_in_reserve_seconds: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    """Seconds that a scale-out below the present one has to leave until the target: about what it
    takes to get an executor back."""

    scale_in_least_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the executors that a scale-in has to free; less is not worth moving tasks and cached data."""

    rescaling_cost_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """Seconds that every rescaling is taken to cost beyond what the forecast has of it."""

    max_rescalings: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Rescalings of one run; the last one is kept for a scale-out."""

    infeasible_target: Literal["fastest", "cheapest"] = "fastest"
    """What a run gets whose target is out of reach."""

    give_up_chance: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """With `cheapest`: chance of meeting the target below which, with every scale-out, it is out of reach.
    A run with a larger one gets the fastest."""

    fastest_tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the time that may be given up for saving half of the executors, and again for half of what is
    left: a smaller scale-out that is no slower than that counts as the fastest, where none is sure enough,
    and where only the fastest is. 0: always the fastest, whatever it costs."""

    extrapolation_limit: Annotated[float, Field(ge=0, le=LARGEST_COUNT)] = 2.0
    """Times the most executors that any known run of an application had, up to which a run is given more. 0:
    no limit."""

    lateness_price: Annotated[float, Field(ge=0, le=1_000_000)] = 20.0
    """Seconds of a run that one second of being late is worth. A scale-out that costs more than it makes a
    run less late, on average, is passed over for a smaller one. 0: executors are used at any price."""

    shadow_algorithms: Names = ()
    """Algorithms whose applications are left alone, separated by commas: what would have been done is
    recorded, and shown."""

    static_margin: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of the runtime target that the scale-out of a run with `static_margin` is chosen for."""

    @model_validator(mode="after")
    def _on_their_sides(self) -> Self:
        """Only what was set is looked at: what was not follows TARGET_CONFIDENCE."""
        target, given = self.target_confidence, self.model_fields_set
        if "stay_confidence" in given and self.stay_confidence > target:
            raise StartError(f"STAY_CONFIDENCE: is more than TARGET_CONFIDENCE ({target:g}).")
        if "scale_in_confidence" in given and self.scale_in_confidence < target:
            raise StartError(f"SCALE_IN_CONFIDENCE: is less than TARGET_CONFIDENCE ({target:g}).")
        return self
