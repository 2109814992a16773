"""Figures that a program leaves in metrics.json, and which of two versions they speak for."""

import json
import math
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from common.models.versions import ModelVersion, Promotion
from common.wire.specs import FreeObject, MetricGate

METRICS_FILE = "metrics.json"
SIGNATURE_FILE = "signature.json"
RESULT_FILE = "result.json"

MOST_BYTES = 1 << 20
"""Of each of these files."""

_MOST_FIGURES = 200


class Unreadable(ValueError):
    """The file is not what its name says; the message is for the person who wrote the program."""


def read_object(content: bytes, name: str) -> dict[str, Any]:
    """A JSON object; what is no number in it is null. Raises Unreadable."""
    return _read(content, name, lambda _: None)


def _read(content: bytes, name: str, constant: Callable[[str], Any]) -> dict[str, Any]:
    """`constant` reads NaN and the infinities, which Python writes and JSON does not know."""
    try:
        # Half a character, which JSON may say, can neither be stored nor sent.
        text = json.dumps(json.loads(content, parse_constant=constant), ensure_ascii=False)
        found = json.loads(text.encode(errors="replace"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{name} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Unreadable(f"{name} is no JSON object.")
    return found


def storable(found: dict[str, Any]) -> dict[str, Any]:
    """The object itself, where MongoDB can hold it. Raises Unreadable."""
    try:
        return TypeAdapter(FreeObject).validate_python(found)
    except ValidationError as error:
        raise Unreadable(f"{SIGNATURE_FILE} cannot be kept: {error.errors()[0]['msg']}.") from error


def read_figures(content: bytes) -> dict[str, float]:
    """The numbers of a metrics.json by name; one in an object within is called `outer.inner`.

    Raises:
        Unreadable: It is none, or a number is not finite.
    """
    figures: dict[str, float] = {}
    _collect(_read(content, METRICS_FILE, float), "", figures)
    return figures


def _collect(found: dict[str, Any], prefix: str, figures: dict[str, float]) -> None:
    for key, value in found.items():
        name = f"{prefix}{key}".replace("\0", "")
        if isinstance(value, dict):
            if prefix.count(".") < 8:
                _collect(value, f"{name}.", figures)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            figures[name] = _finite(name, value)
            if len(figures) > _MOST_FIGURES:
                raise Unreadable(f"{METRICS_FILE} holds more than {_MOST_FIGURES} figures.")


def _finite(name: str, value: float) -> float:
    try:
        number = float(value)
    except OverflowError as error:
        raise Unreadable(f"{METRICS_FILE}: {name} is too large.") from error
    if not math.isfinite(number):
        raise Unreadable(f"{METRICS_FILE}: {name} is {number}, and nothing compares with that.")
    return number


def judge(champion: ModelVersion | None, version: ModelVersion, gate: MetricGate | None) -> Promotion:
    """Whether a new version is to serve in place of the champion."""
    if champion is None or champion.version == version.version:
        return Promotion(
            promoted=True,
            reason="This is the first version of the model.",
            method="first_version",
            champion_version=None if champion is None else champion.version,
        )
    rival = champion.version
    if gate is None:
        reason = "No gate names a figure: the latest version serves."
        return Promotion(promoted=True, reason=reason, method="latest", champion_version=rival)
    own, its = (_figure(each, gate.metric) for each in (version, champion))
    if own is None:
        reason = f"The version has no {gate.metric} in {METRICS_FILE}; version {rival} stays."
        return Promotion(promoted=False, reason=reason, method="metric", champion_version=rival)
    if its is None:
        reason = f"Version {rival} has no {gate.metric} to compare with."
        return Promotion(promoted=True, reason=reason, method="metric", champion_version=rival)
    promoted = own >= its if gate.better == "higher" else own <= its
    how = "no worse" if promoted else "worse"
    reason = f"{gate.metric} is {own:g}, {how} than the {its:g} of version {rival} ({gate.better} is better)."
    return Promotion(promoted=promoted, reason=reason, method="metric", champion_version=rival)


def _figure(version: ModelVersion, name: str) -> float | None:
    return version.program.metrics.get(name) if version.program else None
