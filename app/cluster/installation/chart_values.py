"""The chart's values as somebody gives them, by files and by single assignments."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from app.cluster.failure import CannotBeDone

Json = dict[str, Any]

_ASSIGNMENT = re.compile(r"(?:\\.|\{[^}]*\}|[^,\\])+")
_DOT = re.compile(r"(?<!\\)\.")
_PLAIN = {"true": True, "false": False, "null": None}


def given_values(files: Sequence[str], assignments: Sequence[str]) -> Json:
    """What Helm would make of them; a file with an address is left to Helm.

    Raises:
        CannotBeDone: A file is not there, or holds no values.
    """
    values: Json = {}
    for file in files:
        if "://" not in file:
            values = merged(values, _read(file))
    for assignment in assignments:
        for part in _ASSIGNMENT.findall(assignment):
            values = merged(values, _assigned(part))
    return values


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Json:
    """Both, key by key; of what only one of them can have, the latter's."""
    values = dict(below)
    for key, value in above.items():
        known = values.get(key)
        is_both = isinstance(known, Mapping) and isinstance(value, Mapping)
        values[key] = merged(known, value) if is_both else value  # type: ignore[arg-type]
    return values


def value_at(values: Mapping[str, Any], *path: str) -> Any:
    """What is at that place; None where nothing is."""
    found: Any = values
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _read(file: str) -> Json:
    try:
        values = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotBeDone(f"--values {file}: {error.strerror}.", "Name a file with values.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise CannotBeDone(f"--values {file} holds no YAML.", "Mend the file.") from error
    if not isinstance(values or {}, dict):
        raise CannotBeDone(f"--values {file} holds no values by name.", "Mend the file.")
    return values or {}


def _assigned(part: str) -> Json:
    path, _, text = part.partition("=")
    value = _value(text)
    for key in reversed(_names(path)):
        value = {key: value}
    return value if isinstance(value, dict) else {}


def _names(path: str) -> tuple[str, ...]:
    return tuple(key.replace("\\", "") for key in _DOT.split(path.strip()))


def _value(text: str) -> Any:
    if text.startswith("{") and text.endswith("}"):
        return [each.strip() for each in text[1:-1].split(",") if each.strip()]
    return _PLAIN.get(text, text.replace("\\", ""))
