"""What a Spark listener reports: the contract's `updates`, checked."""

import json
import math
import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from common.beside import beside
from common.wire.specs import INT64_MAX, LONG_TEXT, SHORT_TEXT, NoBoolean, ScaleOut, WireModel

MAX_STAGES = 10_000
"""Stages of one job; with them a stored document stays well below MongoDB's 16 MiB. Of more, which programs
that repeat themselves have in their lineage, skipped ones are left out first, and counted."""

_WHOLE = re.compile(r"[+-]?[0-9]+")

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = 253_402_300_799_999  # the end of the year 9999


def _to_time(value: object) -> object:
    """Epoch milliseconds or ISO 8601; truncated to MongoDB's milliseconds."""
    if isinstance(value, bool):
        raise ValueError("a time is epoch milliseconds or ISO 8601")
    if isinstance(value, str):
        text = value.strip()
        if text.lstrip("+-").isdigit() and len(text) > 8:  # shorter digits are ISO basic dates
            value = int(text)
        else:
            try:
                moment = datetime.fromisoformat(text)
                moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
            except (ValueError, OverflowError) as error:
                raise ValueError("a time is epoch milliseconds or ISO 8601") from error
            if moment < _EARLIEST:
                raise ValueError("a time before 1970 is not possible")
            return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a time must be finite")
        value = int(value)
    if isinstance(value, int):
        if not 0 <= value <= _LATEST_MS:
            raise ValueError("epoch milliseconds must lie between 1970 and 9999")
        seconds, milliseconds = divmod(value, 1000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000)
    if isinstance(value, datetime):
        return value
    raise ValueError("a time is epoch milliseconds or ISO 8601")


def _to_stage_id(value: object) -> object:
    """Stage ids are non-negative integers, written as numbers or as text; stored as text."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a stage id is a non-negative integer")
    text = str(value)[:LONG_TEXT].strip()
    digits = text.lstrip("0") or "0"
    if not (text.isascii() and text.isdigit()) or int(digits[:20]) > INT64_MAX:
        raise ValueError("a stage id is a non-negative integer of 64 bits")
    return digits


Time = Annotated[datetime, BeforeValidator(_to_time)]
StageId = Annotated[str, BeforeValidator(_to_stage_id)]
Count = Annotated[int, Field(ge=0, le=INT64_MAX), NoBoolean]
JobId = Annotated[int, Field(ge=0, le=INT64_MAX), NoBoolean]
SparkId = Annotated[str, StringConstraints(min_length=1, max_length=SHORT_TEXT)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _to_text(value: object, longest: int = LONG_TEXT) -> object:
    # As JSON has it, whatever it is: names of Spark's are what somebody says.
    if isinstance(value, bool | int | float | list | dict):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return value[:longest].encode("utf-8", "replace").decode()
    return value


Text = Annotated[str, BeforeValidator(_to_text)]
"""Spark puts whole stack traces into failure reasons: cut, never refused."""


def _cut(value: object) -> object:
    return _to_text(value, SHORT_TEXT)


def _cut_name(value: object) -> object:
    text = _cut(value)
    return None if isinstance(text, str) and not text.strip() else text


def _result(value: object) -> object:
    # As Spark's event log has it: {"Result": "JobFailed", "Exception": ...}.
    if isinstance(value, dict) and isinstance(value.get("Result"), str):
        value = value["Result"]
    return _cut(value)


ShortText = Annotated[str, BeforeValidator(_cut)]
JobResult = Annotated[str, BeforeValidator(_result)]
ApplicationName = Annotated[str | None, BeforeValidator(_cut_name)]
"""Spark takes names of any length, and blank ones, which say nothing: cut, never refused."""

MAX_PARENTS = 1000
"""Of a stage; what a union of more RDDs has beyond that is left out."""


MAX_JOB_PARENTS = 100_000
"""Of all stages of a job together; likewise."""


def _cut_job_parents(stages: dict[Any, Any]) -> dict[Any, Any]:
    left, found = MAX_JOB_PARENTS, dict(stages)
    for key, stage in stages.items():
        parents = stage.get("parent_stage_ids") if isinstance(stage, dict) else None
        if isinstance(parents, list):
            kept = min(len(parents), MAX_PARENTS, left)
            left -= kept
            if kept < len(parents):
                found[key] = _with_parents(stage, kept)
    return found


def _with_parents(stage: dict[Any, Any], kept: int) -> dict[Any, Any]:
    """The same stage with so many of its parents, and how many there are more."""
    parents = stage["parent_stage_ids"]
    before = stage.get("parents_left_out")
    more = len(parents) - kept + (before if isinstance(before, int) else 0)
    return {**stage, "parent_stage_ids": parents[:kept], "parents_left_out": more}


def _cut_stages(stages: dict[Any, Any]) -> dict[Any, Any]:
    """As many as are stored: those that ran first, and of these the last ones."""
    ran = [key for key, stage in stages.items() if stage is not None]
    skipped = [key for key, stage in stages.items() if stage is None]
    kept = set([*skipped, *ran][-MAX_STAGES:])
    return {key: stage for key, stage in stages.items() if key in kept}


class _Interval(WireModel):
    start_time: Time | None = None
    end_time: Time | None = None
    start_scale_out: ScaleOut | None = None
    end_scale_out: ScaleOut | None = None
    rescaling_time_ratio: Share | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "_Interval":
        if self.start_time is not None and self.end_time is not None and self.end_time < self.start_time:
            raise ValueError("end_time lies before start_time")
        return self


def _said(value: object, nullable: Collection[str] = ()) -> object:
    """Fields that are null were not said."""
    if not isinstance(value, dict):
        return value
    return {name: each for name, each in value.items() if each is not None or name in nullable}


class MetricsUpdate(WireModel):
    cpu_utilization: Ratio = 0.0
    gc_time_ratio: Ratio = 0.0
    shuffle_rw_ratio: Ratio = 0.0
    data_io_ratio: Ratio = 0.0
    memory_spill_ratio: Ratio = 0.0

    @model_validator(mode="before")
    @classmethod
    def _as_said(cls, value: object) -> object:
        return _said(value)


class StageUpdate(_Interval):
    """A field that is null was not said."""

    stage_id: StageId | None = None
    stage_name: Text = ""
    attempt_id: Count = 0
    """Of the latest attempt."""
    num_attempts: Annotated[Count, Field(ge=1)] = 1
    """How many attempts it stands for as a whole, the latest one included."""
    num_tasks: Count = 0
    parent_stage_ids: list[StageId] = Field(default_factory=list)
    parents_left_out: Count = 0
    """Parents that are not among these, of which there were too many."""
    failure_reason: Text | None = ""
    rdd_num_partitions: Count = 0
    rdd_num_cached_partitions: Count | None = 0
    """Null, as with the sizes: nothing is known of what was cached, as in most event logs."""
    rdd_mem_size: Count | None = 0
    rdd_disk_size: Count | None = 0
    metrics: MetricsUpdate | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_said(cls, value: object) -> object:
        found = _said(value, _MAY_BE_NULL)
        parents = found.get("parent_stage_ids") if isinstance(found, dict) else None
        if isinstance(found, dict) and isinstance(parents, list) and len(parents) > MAX_PARENTS:
            return _with_parents(found, MAX_PARENTS)
        return found


_MAY_BE_NULL = frozenset({"rdd_num_cached_partitions", "rdd_mem_size", "rdd_disk_size"})


class ApplicationStarted(WireModel):
    """The `updates` of `APPLICATION_START`."""

    name: ClassVar[str] = "APPLICATION_START"
    application_id: SparkId
    application_signature: ApplicationName = None
    attempt_id: Count | None = None
    start_time: Time
    start_scale_out: ScaleOut | None = None

    @field_validator("attempt_id", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        # A platform of somebody's own may call its attempts anything: what is no number says nothing.
        return None if isinstance(value, str) and not _WHOLE.fullmatch(value.strip()) else value


class _Lost(WireModel):
    """How many reports of this driver never got through; only grows."""

    refused_reports: Count | None = None
    """Refused by the service."""
    dropped_reports: Count | None = None
    """Given up by the plugin, whose queue was full."""


class ApplicationEnded(_Lost):
    """The `updates` of `APPLICATION_END`: a driver has ended its context."""

    name: ClassVar[str] = "APPLICATION_END"
    application_id: SparkId
    end_time: Time
    ended_jobs: Count | None = None
    """Ends of jobs that the driver has seen; more than are stored: some reports never came."""


class JobEnded(_Interval, _Lost):
    """The `updates` of `JOB_END`, with the ids around them."""

    name: ClassVar[str] = "JOB_END"
    application_id: SparkId
    job_id: JobId
    end_time: Time
    predicted_scale_out: ScaleOut | None = None
    job_result: JobResult | None = None
    stages: dict[StageId, StageUpdate | None] = Field(default_factory=dict)
    stages_left_out: Count = 0
    """Stages that are not among these, of which there were too many."""

    @model_validator(mode="before")
    @classmethod
    def _not_too_many(cls, value: object) -> object:
        # Before any of them is looked at: that alone would take seconds.
        stages = value.get("stages") if isinstance(value, dict) else None
        if not isinstance(value, dict) or not isinstance(stages, dict) or len(stages) <= MAX_STAGES:
            return value
        return {**value, "stages": _cut_stages(stages), "stages_left_out": len(stages) - MAX_STAGES}

    @field_validator("stages", mode="before")
    @classmethod
    def _with_few_parents(cls, value: object) -> object:
        return {} if value is None else _cut_job_parents(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _ids_agree(self) -> "JobEnded":
        for key, stage in self.stages.items():
            if stage is not None and stage.stage_id not in (None, key):
                raise ValueError(f"stage {key} says that it is stage {stage.stage_id}")
        return self


_EXAMPLE: dict[str, Any] = {
    "job_id": 7,
    "start_time": 1625427075095,
    "end_time": 1625427083910,
    "start_scale_out": 4,
    "end_scale_out": 6,
    "predicted_scale_out": 6,
    "rescaling_time_ratio": 0.12,
    "stages": {
        "12": {
            "stage_id": "12",
            "stage_name": "collectAsMap at KMeans.scala:300",
            "num_tasks": 64,
            "parent_stage_ids": ["11"],
            "start_time": 1625427075099,
            "end_time": 1625427083900,
            "metrics": {"cpu_utilization": 0.71, "gc_time_ratio": 0.02},
        },
        "11": None,
    },
}


class UpdateInformation(WireModel):
    """Body of `POST /training/update_information`."""

    application_execution_id: SparkId
    application_id: SparkId | None = None
    job_id: JobId | None = None
    update_event: Literal["APPLICATION_START", "JOB_END", "APPLICATION_END"]
    updates: dict[str, Any] = Field(examples=[_EXAMPLE])
    """What happened, as an object or as a JSON text of it: of an application its `application_id`,
    `application_signature`, `attempt_id`, `start_time` and `start_scale_out`, or of its end its `end_time`,
    and how many jobs it has ended (`ended_jobs`); of a job its `job_id`,
    `start_time`, `end_time`, `start_scale_out`, `end_scale_out`, `predicted_scale_out`,
    `rescaling_time_ratio` and `stages` by their ids, null for a stage that was skipped. With an end
    also how many earlier reports were lost (`refused_reports`, `dropped_reports`). Times are epoch
    milliseconds or ISO 8601."""

    @field_validator("updates", mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"updates is a text, but not one of JSON: {error}") from error
        return value

    @field_validator("updates", mode="after")
    @classmethod
    def _agreeing(cls, updates: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        for name in ("application_id", "job_id"):
            outside, inside = info.data.get(name), updates.get(name)
            if outside is None or inside is None:
                continue
            if isinstance(inside, float) and inside.is_integer():
                inside = int(inside)
            if str(inside).strip() != str(outside):
                raise ValueError(f"{name} is {outside!r} outside and {inside!r} inside updates")
        return updates

    @model_validator(mode="after")
    def _names_its_job(self) -> "UpdateInformation":
        if self.update_event == "JOB_END" and self.job_id is None:
            raise ValueError("JOB_END needs a job_id")
        return self

    def event(self) -> ApplicationStarted | JobEnded | ApplicationEnded:
        """The reported event. Raises pydantic.ValidationError where it is impossible."""
        identity: dict[str, Any] = {}
        if self.application_id is not None:
            identity["application_id"] = self.application_id
        if self.update_event == "APPLICATION_START":
            return ApplicationStarted.model_validate({**self.updates, **identity})
        if self.update_event == "APPLICATION_END":
            return ApplicationEnded.model_validate({**self.updates, **identity})
        return JobEnded.model_validate({**self.updates, **identity, "job_id": self.job_id})


FEW_STAGES = 500
"""Of a job; what is done about so many takes some milliseconds."""


async def event_of(update: UpdateInformation) -> ApplicationStarted | JobEnded | ApplicationEnded:
    """The reported event; of a large job it is read in a thread, whose Python lets the event loop go on.

    Raises pydantic.ValidationError where it is impossible.
    """
    stages = update.updates.get("stages")
    if isinstance(stages, dict) and len(stages) > FEW_STAGES:
        return await beside(update.event)
    return update.event()


class PredictionRequest(UpdateInformation):
    """Body of `POST /prediction/online_scale_out_prediction`."""

    predict: bool = True
