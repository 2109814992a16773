"""Write every setting of the service into docs/settings.md.

Usage: python docs/write_settings.py (`make docs`)

Names, defaults and texts are those of `common/settings/`, so that they are said once.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

PROJECT_ROOT = Path(__file__).resolve().parents[1]
SETTINGS = PROJECT_ROOT / "docs" / "settings.md"

_HEAD = """\
# Settings

Written by `make docs` from `common/settings/`. All are environment variables, in upper or lower case; an \
empty one is unset. An endpoint that is not set means the embedded default; one that is set and \
cannot be reached stops the start with a message that names it, and never repeats the value of a secret. \
A secret can also come from a file, which the variable with `_FILE` after its name says.
"""

_FOOT = """
How a model is searched for is no setting of the environment: `training/search/config.py`.
"""

_TITLES = {"mongo": "MongoDB", "hdfs": "HDFS"}


def main() -> None:
    SETTINGS.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page as it has to be now."""
    sys.path.insert(0, str(PROJECT_ROOT))
    from common.attribute_docs import docs_of
    from common.settings.settings import Settings

    lines = [_HEAD]
    for group, field in Settings.model_fields.items():
        assert isinstance(field.annotation, type), "settings come in groups"
        title, text = _TITLES.get(group, group.capitalize()), cleandoc(field.annotation.__doc__ or "")
        lines += [f"## {title}", "", text, ""]
        lines += ["| variable | default | meaning |", "| --- | --- | --- |"]
        lines += [*_rows(field.annotation.model_fields, docs_of(field.annotation)), ""]
    return "\n".join(lines).rstrip("\n") + "\n" + _FOOT


def _rows(fields: dict[str, FieldInfo], texts: Mapping[str, str]) -> Iterator[str]:
    for name, field in fields.items():
        assert texts.get(name), f"{name} has no text"
        meaning = " ".join(texts[name].split()).replace("|", "\\|")
        if get_origin(field.annotation) is Literal:
            meaning += f" One of {', '.join(f'`{value}`' for value in get_args(field.annotation))}."
        if field.annotation is SecretStr:
            meaning = f"**Secret.** {meaning}"
        yield f"| `{name.upper()}` | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    """As the variable would be written; nothing where there is none."""
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        assert not value.get_secret_value(), "a secret has no default"
        return ""
    if isinstance(value, bool | dict):
        text = json.dumps(value)
    elif isinstance(value, tuple):
        text = ",".join(map(str, value))
    else:
        text = "" if value is None else str(value).removeprefix(f"{PROJECT_ROOT}/")
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    main()
