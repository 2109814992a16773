"""The body of a submission: from a file, from options, and from single values; pure but for the file."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from app.cli.exits import CliError

Body = dict[str, Any]

STANDARD_INPUT = "-"

_PLACES = {
    "algorithm": ("global_specs", "algorithm_name"),
    "experiment": ("global_specs", "experiment_name"),
    "arguments": ("global_specs", "algorithm_args"),
    "data_size_mb": ("global_specs", "data_size_MB"),
    "target": ("global_specs", "max_runtime"),
    "minimum": ("global_specs", "min_scale_out"),
    "maximum": ("global_specs", "max_scale_out"),
    "solution": ("global_specs", "solution_name"),
    "scale_out": ("worker_specs", "scale_out"),
    "cores": ("worker_specs", "cores"),
    "memory": ("worker_specs", "memory"),
    "main_file": ("spark_template_values", "main_application_file"),
    "main_class": ("spark_template_values", "main_class"),
    "image": ("spark_template_values", "image"),
    "name": ("name",),
}
"""Where each option belongs."""


def said_options(parameters: Mapping[str, Any]) -> Body:
    """What a command was given of a submission's fields, by the names in `submission_body`."""
    return {name: parameters[name] for name in _PLACES if parameters.get(name) not in (None, [], ())}


def submission_body(
    file: str | None,
    options: Mapping[str, Any] | None = None,
    assignments: Iterable[str] = (),
    *,
    beneath: Body | None = None,
) -> Body:
    """What is sent: the file, with what options say instead, and single values on top.

    Args:
        file: A path of YAML or JSON, `-` for standard input; None for no file.
        options: From `said_options`.
        assignments: `a.b=value` each; the value is YAML, so that `3` is a number.
        beneath: Instead of a file.
    Raises:
        CliError: The file cannot be read, or an assignment is none.
    """
    body = read_document(file) if file else dict(beneath or {})
    for name, value in (options or {}).items():
        _put(body, _PLACES[name], value)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not all(path.split(".")):
            raise CliError(
                f"--set {assignment!r} is no assignment.", "Write --set global_specs.max_runtime=60."
            )
        _put(body, tuple(path.split(".")), _value(assignment, text))
    if not body:
        raise CliError("There is nothing to submit.", "Name a file, or options: `enel submit --help`.")
    _complete(body)
    return body


def read_document(file: str) -> Body:
    """One object of a YAML or JSON file. Raises CliError."""
    try:
        text = sys.stdin.read() if file == STANDARD_INPUT else Path(file).read_text(encoding="utf-8")
        document = yaml.safe_load(text)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise CliError(f"{file} cannot be read: {reason}.", "Name a file in YAML or JSON.") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        raise CliError(
            f"{file}{line}: neither YAML nor JSON.", "examples/submissions/ has some that are."
        ) from error
    if not isinstance(document, dict):
        raise CliError(f"{file} holds no object.", "Write global_specs: and its fields below it.")
    return document


def _value(assignment: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CliError(
            f"--set {assignment!r}: the value is no YAML.", "Put quotes around it: --set 'a.b=\"text\"'."
        ) from error


def _put(body: Body, path: tuple[str, ...], value: Any) -> None:
    *outer, last = path
    for depth, key in enumerate(outer, 1):
        inner = body.setdefault(key, {})
        if not isinstance(inner, dict):
            place = ".".join(path[:depth])
            raise CliError(
                f"{place} is no object, so {'.'.join(path)} cannot be set.", f"Set {place} itself."
            )
        body = inner
    body[last] = value


def _complete(body: Body) -> None:
    """What nearly every command line would say alike."""
    if isinstance(specs := body.get("global_specs"), dict):
        specs.setdefault("experiment_name", "default")
