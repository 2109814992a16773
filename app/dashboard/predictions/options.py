"""The form that says how a model is served: from what was typed to its options, and back."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from app.dashboard.submission_form import OTHERS, FormError, by_input
from prediction.inference.served.documents import ServingOptions

FIELDS: Mapping[str, tuple[str, ...]] = {
    "version": ("version",),
    "replicas": ("replicas",),
    "max_batch_rows": ("max_batch_rows",),
    "batch_wait_milliseconds": ("batch_wait_milliseconds",),
    "idle_seconds": ("idle_seconds",),
    "canary_version": ("canary", "version"),
    "canary_share": ("canary", "share"),
    "shadow_version": ("shadow", "version"),
    "shadow_share": ("shadow", "share"),
}
"""By the name of its input: where its value stands in the options."""

_BESIDE = ("canary", "shadow")


def typed_for(options: ServingOptions) -> dict[str, str]:
    """What to type for these options."""
    said = options.model_dump()
    typed = {}
    for name, (first, *rest) in FIELDS.items():
        value = said[first]
        if rest and value is not None:
            value = value[rest[0]]
        typed[name] = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return typed


def options_of(typed: Mapping[str, str], present: ServingOptions) -> ServingOptions:
    """Options as they were typed.

    Args:
        present: Of which everything stays that has no input.
    Raises:
        FormError: They are none.
    """
    said: dict[str, Any] = present.model_dump()
    for name, where in FIELDS.items():
        text = typed.get(name, "").strip()
        if len(where) > 1:
            continue
        if text:
            said[name] = _version(text, name) if name == "version" else text
        elif name == "idle_seconds":
            said[name] = None
        else:
            del said[name]
    for role in _BESIDE:
        said[role] = _beside(role, typed)
    try:
        return ServingOptions.model_validate(said)
    except ValidationError as error:
        found = by_input(error, FIELDS)
        if OTHERS in found:
            found |= at_input(found.pop(OTHERS))
        raise FormError(found) from error


def at_input(refusal: str) -> dict[str, str]:
    """A refusal that begins with its field, by the field's input."""
    field = refusal.partition(" ")[0].rstrip(":")
    inputs = {".".join(where): name for name, where in FIELDS.items()}
    if field not in inputs:
        return {"": refusal}
    rest = refusal[len(field) :].lstrip(": ")
    return {inputs[field]: f"{rest[:1].upper()}{rest[1:]}"}


def _beside(role: str, typed: Mapping[str, str]) -> dict[str, Any] | None:
    version = typed.get(f"{role}_version", "").strip()
    share = typed.get(f"{role}_share", "").strip()
    if not version:
        return None
    if not share and role == "canary":
        raise FormError({"canary_share": "Write which share of the requests it answers, such as 0.1."})
    return {"version": _version(version, f"{role}_version"), **({"share": share} if share else {})}


def _version(text: str, name: str) -> int | str:
    if re.fullmatch(r"[0-9]{1,9}", text) and int(text):
        return int(text)
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", text):
        raise FormError({name: "Write the number of a version, or an alias such as champion."})
    return text
