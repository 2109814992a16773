"""Texts below attributes of models, in their JSON schemas.

pydantic can read them while it makes a class (`use_attribute_docstrings`), and looks for the class's source
through all frames of the call: for two hundred models a tenth of the service's start. Here they are read
when somebody asks for a schema, each file once.
"""

import ast
import functools
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def describe(schema: dict[str, Any], model: type) -> None:
    """Add to a schema what stands below the attributes; as `json_schema_extra` of its config.

    Args:
        schema: Of the model.
        model: One of pydantic's, or a dataclass of its.
    """
    properties = schema.get("properties", {})
    for name, field in getattr(model, "__pydantic_fields__", {}).items():
        text = docs_of(model).get(name)
        if not text:
            continue
        aliases = (field.serialization_alias, field.validation_alias, field.alias, name)
        for key in {alias for alias in aliases if isinstance(alias, str) and alias in properties}:
            properties[key].setdefault("description", text)


@functools.cache
def docs_of(model: type) -> Mapping[str, str]:
    """Text below each attribute, those of its bases included, the closest first."""
    found: dict[str, str] = {}
    for each in model.__mro__:
        for name in getattr(each, "__annotations__", {}):
            # An attribute that is declared anew says nothing where nothing stands below it.
            found.setdefault(name, _docs_in(each).get(name, ""))
    return {name: text for name, text in found.items() if text}


def _docs_in(model: type) -> Mapping[str, str]:
    try:
        file = inspect.getsourcefile(model)
    except TypeError:  # built in
        return {}
    return _docs_of_file(file).get(model.__qualname__, {}) if file else {}


@functools.cache
def _docs_of_file(file: str) -> Mapping[str, Mapping[str, str]]:
    """By qualified name of the class; without its source there are none."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    return dict(_classes(tree, ""))


def _classes(tree: ast.AST, prefix: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            name = f"{prefix}{node.name}"
            yield name, dict(_attributes(node))
            yield from _classes(node, f"{name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _classes(node, f"{prefix}{node.name}.<locals>.")


def _attributes(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for before, after in zip(node.body, node.body[1:], strict=False):
        if not isinstance(before, ast.AnnAssign) or not isinstance(before.target, ast.Name):
            continue
        if (
            isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            yield before.target.id, inspect.cleandoc(after.value.value)
