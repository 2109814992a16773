"""What a program that answers files of questions is given: our modules, and the version's files."""

import io
import zipfile
from collections.abc import Mapping
from importlib.metadata import version

from common.settings.group import PROJECT_ROOT

_MODULES = (
    "common/__init__.py",
    "common/errors.py",
    "common/forms.py",
    "common/processes/__init__.py",
    "common/processes/environment.py",
    "prediction/__init__.py",
    "prediction/inference/__init__.py",
)
_ROOMS = ("declaration", "images", "model_process")
_PACKAGES = ("numpy", "pillow", "psutil", "pydantic")
_OF_ONNX = "onnxruntime"

PROGRAM = "submission/serving/bulk/program.py"


def program() -> bytes:
    """The program itself."""
    return (PROJECT_ROOT / PROGRAM).read_bytes()


def bundle(files: Mapping[str, bytes]) -> bytes:
    """A ZIP.

    Args:
        files: Of the version, by path.
    """
    content = io.BytesIO()
    paths = [PROJECT_ROOT / path for path in _MODULES]
    for room in _ROOMS:
        paths += sorted((PROJECT_ROOT / "prediction" / "inference" / room).glob("*.py"))
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            _add(archive, f"modules/{path.relative_to(PROJECT_ROOT).as_posix()}", path.read_bytes())
        for name, data in files.items():
            _add(archive, f"version/{name}", data)
    return content.getvalue()


def requirements(own: bytes | None, *, is_onnx: bool) -> bytes:
    """What an environment needs beside what the version itself asks for.

    Args:
        own: The version's requirements.txt.
    """
    packages = [*_PACKAGES, *([_OF_ONNX] if is_onnx else [])]
    if own is None:
        lines = [f"{package}=={version(package)}" for package in packages]
    else:  # beside what it pins, whatever fits
        lines = [own.decode(errors="replace"), *packages]
    return "\n".join([*lines, ""]).encode()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """With one date for all: the same files are the same archive, and are stored once."""
    archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
