"""The short form of signature.json: type hints of a function's arguments, as text. Nothing of it is run."""

import ast
from types import NoneType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter

from prediction.inference.declaration.anything import AnyField, HintField
from prediction.inference.declaration.field import InputField
from prediction.inference.declaration.scalars import BooleanField, IntegerField, NumberField, TextField

_LONGEST_HINT = 1_000
_MOST_LEVELS = 20

_SCALARS: dict[Any, type[IntegerField | NumberField | TextField | BooleanField]] = {
    int: IntegerField,
    float: NumberField,
    str: TextField,
    bool: BooleanField,
}
_NAMES: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "list": list,
    "List": list,
    "Sequence": list,
    "dict": dict,
    "Dict": dict,
    "Mapping": dict,
}
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


def field_of_hint(hint: str) -> InputField:
    """The field that an argument with this type hint is; one that is not understood takes any JSON.

    With `| None` it may be left out, and is None then.
    """
    kind = type_of_hint(hint)
    nullable = _is_union(kind) and NoneType in get_args(kind)
    if nullable:
        kind = Union[tuple(each for each in get_args(kind) if each is not NoneType)]  # noqa: UP007 - of a tuple
    if kind in _SCALARS:
        return _SCALARS[kind](nullable=nullable)
    if get_origin(kind) is Literal:
        choices = list(get_args(kind))
        if all(isinstance(each, str) for each in choices):
            return TextField(choices=choices, nullable=nullable)
        if all(type(each) is int for each in choices):
            return IntegerField(choices=choices, nullable=nullable)
    if kind is Any:
        return AnyField(nullable=nullable)
    return HintField(hint, TypeAdapter(kind, config=_STRICT), _sample(kind), nullable=nullable)


def type_of_hint(hint: str) -> Any:
    """The type that a hint of scalars, lists and dicts means; Any where it is of something else."""
    if len(hint) > _LONGEST_HINT:
        return Any
    try:
        return _type(ast.parse(hint.strip(), mode="eval").body, _MOST_LEVELS)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Any


def is_mapping(hint: str) -> bool:
    """Whether it is a dict, so that a function with this one argument takes all inputs in it."""
    kind = type_of_hint(hint)
    return kind is dict or get_origin(kind) is dict


def is_label(hint: str) -> bool:
    """Whether it is a text, an integer or a boolean, as names of classes are."""
    kind = type_of_hint(hint)
    return kind in (str, int, bool) or get_origin(kind) is Literal


def _type(node: ast.expr, levels: int) -> Any:
    if levels == 0:
        return Any
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return _type(ast.parse(node.value.strip(), mode="eval").body, levels - 1)
        return NoneType if node.value is None else Any
    if isinstance(node, ast.Name | ast.Attribute):
        return _NAMES.get(_name(node), Any)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _united([_type(node.left, levels - 1), _type(node.right, levels - 1)])
    if isinstance(node, ast.Subscript):
        arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return _parametrized(_name(node.value), arguments, levels - 1)
    return Any


def _parametrized(name: str, arguments: list[ast.expr], levels: int) -> Any:
    if name == "Literal":
        values = [each.value if isinstance(each, ast.Constant) else ... for each in arguments]
        known = all(isinstance(each, str | int | NoneType) for each in values)
        return Literal[tuple(values)] if known else Any
    types = [_type(each, levels) for each in arguments]
    if name == "Optional":
        return _united([*types, NoneType])
    if name == "Union":
        return _united(types)
    origin = _NAMES.get(name)
    if origin is list and len(types) == 1:
        return list[types[0]]  # type: ignore[valid-type]
    if origin is dict and len(types) == 2:
        return dict[str, types[1]]  # type: ignore[valid-type]  # keys of JSON are texts
    return Any


def _united(types: list[Any]) -> Any:
    return Union[tuple(types)]  # noqa: UP007 - of a list


def _is_union(kind: Any) -> bool:
    return get_origin(kind) is Union


def _name(node: ast.expr) -> str:
    """The last part of `typing.Optional`."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _sample(kind: Any) -> Any:
    arguments = get_args(kind)
    if get_origin(kind) in (Literal, Union):
        return arguments[0] if get_origin(kind) is Literal else _sample(arguments[0])
    if get_origin(kind) is list:
        return [_sample(arguments[0])]
    if get_origin(kind) is dict:
        return {_sample(arguments[0]): _sample(arguments[1])}
    return {int: 1, float: 1.0, str: "text", bool: True, list: [], dict: {}}.get(kind)
