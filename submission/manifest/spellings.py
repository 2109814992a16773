"""Keys of manifests, in the two spellings that people write: as in the CRD, and in snake_case."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.alias_generators import to_camel


def in_camel(name: str) -> str:
    """As the CRD would write it; dots stay."""
    return ".".join(to_camel(part) for part in name.split("."))


def in_one_spelling(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The values, with each of these keys as it was written, but not twice.

    Raises:
        ValueError: A key is there in both spellings, and they say different things.
    """
    said = dict(values)
    for name in names:
        other = in_camel(name)
        if other == name or name not in said or other not in said:
            continue
        left_out, kept = (name, other) if said[name] is None else (other, name)
        if said[left_out] is not None and said[left_out] != said[kept]:
            raise ValueError(f"{name} and {other} are the same, but say different things; write one of them")
        del said[left_out]
    return said
