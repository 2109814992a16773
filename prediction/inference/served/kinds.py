"""How a version answers: by an ONNX file or by a prediction file, found among what its program left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import ServiceError, Unavailable
from common.models.versions import PROGRAM_KIND, ModelVersion, PublishedFile
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.declaration.problems import DeclarationError

PYTHON, ONNX = "python", "onnx"

_ONNX_FILES = ("model.onnx",)
_PYTHON_FILES = ("predict.py",)


class VersionNotServable(ServiceError):
    """What a version consists of answers no questions; the message says what is missing."""

    status, title = 409, "This version cannot be served"


class VersionNotLoaded(Unavailable):
    """The engine does not run it, and says why."""

    title = "The version does not load"


@dataclass(frozen=True)
class Answering:
    """How a version answers."""

    kind: str
    """`onnx` or `python`."""
    file: str
    """Path in the version's folder."""
    declaration: Declaration


def how_it_answers(version: ModelVersion) -> Answering:
    """Raises VersionNotServable."""
    if version.kind != PROGRAM_KIND:
        raise VersionNotServable(
            f"{version.id} forecasts runtimes of applications: POST /prediction/initial_scale_out asks it."
        )
    signature = version.program.signature if version.program is not None else None
    try:
        declaration = Declaration.parse(signature)
    except DeclarationError as error:
        raise VersionNotServable(f"signature.json of {version.id}: {error}") from error
    paths = [_path(file) for file in version.files]
    named = _named(signature, paths, version)
    if named is not None:
        return Answering(ONNX if named.endswith(".onnx") else PYTHON, named, declaration)
    for file in (*_ONNX_FILES, *_only_one(paths, ".onnx")):
        if file in paths:
            return Answering(ONNX, file, declaration)
    for file in _PYTHON_FILES:
        if file in paths:
            return Answering(PYTHON, file, declaration)
    raise VersionNotServable(
        f"{version.id} has neither a model.onnx nor a predict.py; its files are {', '.join(paths[:10])}."
        " docs/serving.md says what a version needs to answer."
    )


def check_found(version: ModelVersion, answering: Answering, found: Mapping[str, Any]) -> None:
    """Compare outputs of an ONNX file that was loaded with what signature.json says of them.

    Args:
        found: As `Engine.load` tells of it.
    Raises:
        VersionNotServable
    """
    if answering.kind != ONNX:
        return
    shapes = {each["name"]: each["shape"] for each in found.get("outputs", ())}
    try:
        answering.declaration.output.check_outputs(shapes)
    except DeclarationError as error:
        raise VersionNotServable(f"{version.id}: {error}") from error


def _named(signature: dict[str, Any] | None, paths: Sequence[str], version: ModelVersion) -> str | None:
    """What `signature.json` itself names as the file that answers."""
    named = (signature or {}).get("file")
    if named is None:
        return None
    if not isinstance(named, str) or not named.endswith((".onnx", ".py")):
        raise VersionNotServable(f"signature.json of {version.id}: file is the name of an .onnx or a .py.")
    if named not in paths:
        raise VersionNotServable(f"signature.json of {version.id} names {named[:200]!r}, which is not there.")
    return named


def _only_one(paths: Sequence[str], suffix: str) -> list[str]:
    found = [path for path in paths if path.endswith(suffix)]
    return found if len(found) == 1 else []


def _path(file: PublishedFile) -> str:
    return file.path or file.name
