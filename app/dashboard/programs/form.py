"""The form that starts a program: from what was typed to a request, and back from an earlier run."""

import math
import shlex
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from app.dashboard.submission_form import FormError, by_input
from common.executions.documents import ApplicationExecution
from submission.pipelines.definition import Scalar
from submission.program_requests import DEFAULT_TARGET_SECONDS, StartProgram, default_model

FIELDS: Mapping[str, tuple[str, ...]] = {
    "folder": ("folder",),
    "file": ("file",),
    "arguments": ("arguments",),
    "runtime_target_seconds": ("runtime_target_seconds",),
    "min_scale_out": ("min_scale_out",),
    "max_scale_out": ("max_scale_out",),
    "gate_metric": ("gate", "metric"),
    "gate_better": ("gate", "better"),
    "output": ("output",),
    "model": ("model",),
}
"""By the name of its input: where its value stands in the request."""

_SUBMITTED: Mapping[str, tuple[str, ...]] = {
    "arguments": ("global_specs", "algorithm_args"),
    "min_scale_out": ("global_specs", "min_scale_out"),
    "max_scale_out": ("global_specs", "max_scale_out"),
    "runtime_target_seconds": ("global_specs", "max_runtime"),
    "file": ("program", "file"),
    "folder": ("program", "folder"),
    "model": ("global_specs", "algorithm_name"),
}
"""The same in the submission that a request stands for."""

DEFAULTS: Mapping[str, str] = {
    **dict.fromkeys(FIELDS, ""),
    "runtime_target_seconds": f"{DEFAULT_TARGET_SECONDS:g}",
    "min_scale_out": "1",
    "max_scale_out": "1",
    "gate_better": "higher",
    "output": "version",
}


def arguments_of(line: str) -> list[str]:
    """As a shell would split it. Raises FormError."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise FormError({"arguments": f"As a shell reads them: {error}."}) from error


def request_of(typed: Mapping[str, str], workspace: str) -> StartProgram:
    """The request as it will be sent. Raises FormError."""
    said: dict[str, Any] = {name: text for name in FIELDS if (text := typed.get(name, "").strip())}
    better = said.pop("gate_better", "")
    if metric := said.pop("gate_metric", ""):
        said["gate"] = {"metric": metric, "better": better}
    said["arguments"] = arguments_of(typed.get("arguments", ""))
    try:
        request = StartProgram.model_validate(said)
    except ValidationError as error:
        raise FormError(by_input(error, FIELDS)) from error
    try:
        request.submission(workspace)
    except ValidationError as error:
        raise FormError(by_input(error, _SUBMITTED)) from error
    return request


def typed_for(execution: ApplicationExecution) -> dict[str, str]:
    """What to type for another run like this one."""
    program, specs = execution.program, execution.global_specs
    if program is None:
        return dict(DEFAULTS)
    own_model = specs.algorithm_name != default_model(program.workspace, program.folder, program.file)
    return {
        "folder": program.folder,
        "file": program.file,
        "arguments": shlex.join(str(argument) for argument in specs.algorithm_args),
        "runtime_target_seconds": f"{specs.max_runtime:g}",
        "min_scale_out": str(specs.min_scale_out),
        "max_scale_out": str(specs.max_scale_out),
        "gate_metric": program.gate.metric if program.gate else "",
        "gate_better": program.gate.better if program.gate else "higher",
        "output": program.output,
        "model": specs.algorithm_name if own_model else "",
    }


PARAMETER = "parameter."
"""What names of inputs begin with that are parameters of a pipeline."""


def parameters_of(typed: Mapping[str, str], defaults: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Values that were typed, each of the kind of the parameter's own. Raises FormError."""
    found: dict[str, Scalar] = {}
    for name, default in defaults.items():
        text = typed.get(f"{PARAMETER}{name}", "").strip()
        if text:
            found[name] = _like(default, text, f"{PARAMETER}{name}")
    return found


def _like(default: Scalar, text: str, field: str) -> Scalar:
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise FormError({field: "Write true or false."})
        return text.lower() == "true"
    if isinstance(default, int | float):
        for kind in (int, float):
            try:
                value = kind(text)
            except ValueError:
                continue
            if math.isfinite(value):
                return value
        raise FormError({field: "Write a number, such as 1.5."})
    return text
