"""The form of a submission: from what was typed to the body of a request, and back from an earlier run.

What has no field of its own is JSON in a field for everything else, so that no part of a request is out
of reach.
"""

import json
import math
import shlex
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import FormData

from common.executions.documents import ApplicationExecution
from routers.schedules import CreateSchedule
from submission.requests import SubmitRequest

Json = dict[str, Any]

FIELDS: Mapping[str, tuple[str, ...]] = {
    "algorithm_name": ("global_specs", "algorithm_name"),
    "algorithm_args": ("global_specs", "algorithm_args"),
    "main_application_file": ("spark_template_values", "main_application_file"),
    "data_size_MB": ("global_specs", "data_size_MB"),
    "max_runtime": ("global_specs", "max_runtime"),
    "min_scale_out": ("global_specs", "min_scale_out"),
    "max_scale_out": ("global_specs", "max_scale_out"),
    "solution_name": ("global_specs", "solution_name"),
    "experiment_name": ("global_specs", "experiment_name"),
    "executor_cores": ("worker_specs", "cores"),
    "executor_memory": ("worker_specs", "memory"),
    "driver_memory": ("master_specs", "memory"),
    "name": ("name",),
}
"""By the name of its input: where its value stands in the body."""

DEFAULTS: Mapping[str, str] = {
    "algorithm_name": "KMeans",
    "algorithm_args": "--iterations 10 --partitions 12",
    "data_size_MB": "1",
    "max_runtime": "60",
    "min_scale_out": "1",
    "max_scale_out": "6",
    "solution_name": "enel",
    "experiment_name": "default",
    "executor_cores": "1",
    "executor_memory": "512m",
    "driver_memory": "512m",
}
"""The bundled example: it runs anywhere, and more executors make it faster."""

SCHEDULE: Mapping[str, tuple[str, ...]] = {
    "schedule_name": ("name",),
    "cron": ("cron",),
    "time_zone": ("time_zone",),
}
"""The same of a schedule."""

_WORDS = {
    "int_parsing": "Write a whole number.",
    "int_from_float": "Write a whole number.",
    "float_parsing": "Write a number, such as 1.5.",
}
"""For what people type, by the kind of error."""

OTHERS = "others"
"""The input with everything else."""


class FormError(Exception):
    """What was typed makes no request.

    Attributes:
        errors: Input, or field of the body, to what is wrong with it.
    """

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in errors.items()))
        self.errors = dict(errors)


def typed_in(form: FormData) -> dict[str, str]:
    """What a form says; files are none of its business."""
    return {name: value for name, value in form.items() if isinstance(value, str)}


def body_of(typed: Mapping[str, str]) -> Json:
    """The body of a request; an empty field is left out. Raises FormError."""
    body = _others(typed.get(OTHERS, ""))
    for name, where in FIELDS.items():
        text = typed.get(name, "").strip()
        if text:
            _put(body, where, _arguments(text) if name == "algorithm_args" else text)
    return body


def request_of(typed: Mapping[str, str]) -> SubmitRequest:
    """The request as it will be sent. Raises FormError."""
    try:
        return SubmitRequest.model_validate(body_of(typed))
    except ValidationError as error:
        raise FormError(by_input(error, FIELDS)) from error


def recurs(typed: Mapping[str, str]) -> bool:
    """Whether a schedule is asked for, and no single run."""
    return any(typed.get(name, "").strip() for name in ("cron", "schedule_name"))


def schedule_of(typed: Mapping[str, str]) -> CreateSchedule:
    """The schedule as it will be sent. Raises FormError."""
    submission = request_of(typed)
    if not typed.get("schedule_name", "").strip():
        raise FormError({"schedule_name": "A recurring submission needs a name."})
    if not typed.get("cron", "").strip():
        raise FormError({"cron": "Write when it recurs, or leave the schedule's name empty to run it once."})
    said = {where[0]: typed.get(name, "").strip() for name, where in SCHEDULE.items()}
    try:
        return CreateSchedule.model_validate(
            {**{name: text for name, text in said.items() if text}, "submission": submission}
        )
    except ValidationError as error:
        raise FormError(by_input(error, SCHEDULE)) from error


def typed_for(execution: ApplicationExecution) -> dict[str, str]:
    """What to type for another run like this one; its name stays its own."""
    specs = ("global_specs", "optional_specs", "master_specs", "worker_specs", "spark_template_values")
    body: Json = execution.model_dump(mode="json", include=set(specs), exclude_defaults=True)
    for spelling in ("release_name", "releaseName"):
        body.get("spark_template_values", {}).pop(spelling, None)
    typed = dict.fromkeys(FIELDS, "")
    for name, where in FIELDS.items():
        value = _take(body, where)
        if value is not None:
            typed[name] = _as_typed(value)
    rest = {key: value for key, value in body.items() if value not in ({}, None)}
    return {**typed, OTHERS: json.dumps(rest, indent=2) if rest else ""}


def _others(text: str) -> Json:
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise FormError({OTHERS: f"This is no JSON: {error}."}) from error
    except RecursionError as error:
        raise FormError({OTHERS: "This is nested too deeply."}) from error
    if not isinstance(found, dict):
        raise FormError({OTHERS: 'This is no JSON object: write {"optional_specs": {…}}, for instance.'})
    return found


def _arguments(text: str) -> list[int | float | str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise FormError({"algorithm_args": f"As a shell reads them: {error}."}) from error
    return [_number(word) for word in words]


def _number(word: str) -> int | float | str:
    for kind in (int, float):
        try:
            value = kind(word)
        except ValueError:
            continue
        return value if str(value) == word and math.isfinite(value) else word
    return word


def _as_typed(value: Any) -> str:
    return shlex.join(str(each) for each in value) if isinstance(value, list) else str(value)


def _put(body: Json, where: tuple[str, ...], value: Any) -> None:
    *parents, last = where
    for part in parents:
        inner = body.setdefault(part, {})
        if not isinstance(inner, dict):
            raise FormError({OTHERS: f"{part} is no JSON object."})
        body = inner
    body[last] = value


def _take(body: Json, where: tuple[str, ...]) -> Any:
    *parents, last = where
    for part in parents:
        body = body.get(part, {})
    return body.pop(last, None)


def by_input(error: ValidationError, fields: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Input, or field of the body, to what is wrong with it."""
    inputs = {where: name for name, where in fields.items()}
    found: dict[str, str] = {}
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        where = tuple(str(part) for part in each["loc"])
        name = inputs.get(where) or inputs.get(where[:2]) or ".".join(where) or OTHERS
        found.setdefault(name, _WORDS.get(each["type"]) or each["msg"].removeprefix("Value error, "))
    return found
