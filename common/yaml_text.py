"""YAML that others read: texts stay texts also for readers of YAML 1.2 and for Go's, as Helm and kubectl are.

PyYAML quotes what it would itself read as something else, by YAML 1.1, where `1e-3`, `08` and `0o17` are
texts. For those readers they are numbers, and `y` is true (`findings/pyyaml_and_other_readers.sh`).
"""

import re
from collections.abc import Iterable
from typing import Any

import yaml

_ELSEWHERE = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)(e[-+]?[0-9]+)?|[-+]?0o[0-7]+|[yn]", re.IGNORECASE)
"""Numbers of YAML 1.2, and Go's yes and no."""


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Quotes texts that other readers take for numbers or truths."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, "'" if _ELSEWHERE.fullmatch(text) else None)


_Dumper.add_representer(str, _text)


def yaml_of(documents: Iterable[Any]) -> str:
    """The documents, one after the other, with their keys in the order that they have."""
    text: str = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False)
    return text
