"""What a log does not say of a run: a mapping says it, or Spark's own configuration stands for it."""

import fnmatch
import hashlib
import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.attribute_docs import describe
from common.errors import InvalidRequest
from common.wire.specs import ApplicationSpecs
from training.event_logs.recorded import RecordedAttempt

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9 ._+-]+")
_NAMELESS = "application"
_LONGEST_NAME = 256


class Said(BaseModel):
    """What somebody says of the runs of an application; what is left out is read from each log."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=describe)

    name: str = "*"
    """The Spark application's name; * and ? stand for what changes."""
    algorithm_name: str | None = None
    """Left out: the Spark application's name."""
    algorithm_args: list[str | bool | int | float] | None = None
    experiment_name: str | None = None
    data_size_MB: Annotated[int, Field(gt=0)] | None = None
    """Left out: the most that one of its jobs has read."""
    data_characteristics: str | None = None
    machine_name: str | None = None
    environment_name: str | None = None
    min_scale_out: Annotated[int, Field(gt=0)] | None = None
    max_scale_out: Annotated[int, Field(gt=0)] | None = None
    """Left out: those of dynamic allocation, or what the run had."""
    max_runtime: Annotated[float, Field(gt=0)] | None = None
    """The target in seconds. Left out: what the run took, which it has met then."""


class Mapping(BaseModel):
    """The first of `applications` whose name fits counts."""

    model_config = ConfigDict(extra="forbid")

    applications: list[Said] = Field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Mapping":
        """Raises InvalidRequest: the file is none."""
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except (OSError, UnicodeError, yaml.YAMLError) as error:
            raise InvalidRequest(f"{path}: {error}") from error
        except ValidationError as error:
            [first, *_] = error.errors()
            place = ".".join(str(part) for part in first["loc"])
            raise InvalidRequest(f"{path}: {place}: {first['msg']}") from error

    def of(self, application_name: str) -> Said:
        """What is said of an application; nothing, where nobody says anything."""
        for said in self.applications:
            if fnmatch.fnmatchcase(application_name, said.name):
                return said
        return Said()


def specs_of(attempt: RecordedAttempt, said: Said) -> ApplicationSpecs:
    """The specs of a run. Raises InvalidRequest where what is said of it is impossible."""
    assert attempt.start is not None, "a log without a start is none"
    conf = attempt.properties
    fewest, most = attempt.scale_outs or (1, 1)
    is_dynamic = conf.get("spark.dynamicAllocation.enabled") == "true"
    lower = _count(conf.get("spark.dynamicAllocation.minExecutors")) if is_dynamic else None
    upper = _count(conf.get("spark.dynamicAllocation.maxExecutors")) if is_dynamic else None
    most = said.max_scale_out or max(upper or most, most)
    name = said.algorithm_name or algorithm_name(str(attempt.start.get("application_signature") or ""))
    given: dict[str, Any] = {
        "algorithm_args": said.algorithm_args,
        "data_characteristics": said.data_characteristics,
        "machine_name": said.machine_name,
        "environment_name": said.environment_name,
    }
    try:
        return ApplicationSpecs.model_validate(
            {
                "global_specs": {
                    "algorithm_name": name,
                    "experiment_name": said.experiment_name or "imported",
                    "data_size_MB": said.data_size_MB or max(1, round(attempt.input_bytes / 2**20)),
                    "min_scale_out": said.min_scale_out or min(lower or fewest, most),
                    "max_scale_out": most,
                    "max_runtime": said.max_runtime or _runtime_seconds(attempt),
                    **{field: value for field, value in given.items() if value is not None},
                },
                "optional_specs": attempt.versions,
                "master_specs": {
                    "cores": _count(conf.get("spark.driver.cores")) or 1,
                    "memory": conf.get("spark.driver.memory", "1g"),
                },
                "worker_specs": {
                    "scale_out": _count(conf.get("spark.executor.instances")) or fewest,
                    "cores": _count(conf.get("spark.executor.cores")) or attempt.executor_cores or 1,
                    "memory": conf.get("spark.executor.memory", "1g"),
                },
            }
        )
    except ValidationError as error:
        [first, *_] = error.errors()
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(f"{place}: {first['msg']}") from error


def start_scale_out(attempt: RecordedAttempt) -> int | None:
    """Executors that the application was to start with; None: its configuration does not say."""
    conf = attempt.properties
    said = [_count(conf.get("spark.executor.instances"))]
    if conf.get("spark.dynamicAllocation.enabled") == "true":
        # The most of them, whatever its maximum (`findings/spark_standalone_and_max_executors.sh`).
        said += [
            _count(conf.get(f"spark.dynamicAllocation.{name}"))
            for name in ("initialExecutors", "minExecutors")
        ]
    return max((count for count in said if count is not None), default=None)


def algorithm_name(application_name: str) -> str:
    """A Spark application's name as one that models and paths may have; letters that these have not are told
    apart by what ends it."""
    found = _NOT_IN_NAMES.sub("_", application_name).strip(" ._+-") or _NAMELESS
    is_other = any(letter.isalnum() and not letter.isascii() for letter in application_name)
    if is_other or len(found) > _LONGEST_NAME:
        digest = hashlib.blake2b(application_name.encode("utf-8", "replace"), digest_size=4).hexdigest()
        return f"{found[: _LONGEST_NAME - len(digest) - 1].rstrip(' ._+-')}-{digest}"
    return found


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() and 0 < int(text) <= 100_000 else None


def _runtime_seconds(attempt: RecordedAttempt) -> float:
    assert attempt.start is not None, "a log without a start is none"
    milliseconds = (attempt.ended_at or attempt.last_at) - int(attempt.start["start_time"])
    return max(1.0, milliseconds / 1000)
