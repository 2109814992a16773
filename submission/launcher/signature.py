"""What a version is asked with, read from the type hints of `predict` without running it."""

import ast
from pathlib import Path
from typing import Any

from submission.launcher.files import open_regular

_SOURCE_BYTES = 1 << 20


def signature_of(source: Path) -> dict[str, Any] | None:
    """Names and types of the arguments of a file's function `predict`, and of what it returns.

    Returns:
        None where there is no such function, or none of its arguments has a type.
    """
    try:
        with open_regular(source) as file:
            content = file.read(_SOURCE_BYTES + 1)
        if len(content) > _SOURCE_BYTES:
            return None
        tree = ast.parse(content)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "predict":
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            inputs = {each.arg: ast.unparse(each.annotation) for each in arguments if each.annotation}
            if not inputs:
                return None
            returned = ast.unparse(node.returns) if node.returns else None
            return {"inputs": inputs, "output": returned}
    return None
