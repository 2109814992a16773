"""Paths of files in a workspace: relative, written in one way, and harmless wherever they are unpacked."""

import unicodedata

from common.errors import InvalidRequest

LONGEST_PATH = 512
"""Characters."""

LONGEST_NAME = 200
"""Bytes of one part: file systems take 255, and a store may put something before it."""

DEEPEST = 16
"""Parts of a path."""


class InvalidPath(InvalidRequest):
    title = "This is no path of a file"


def check_path(path: str) -> str:
    """The path in the way in which it is stored: parts between single slashes, in Unicode's form C.

    `./` in front and between is left out, as `tar` writes it.

    Raises:
        InvalidPath: It could lead out of the workspace, or not every file system takes it.
    """
    parts = [part for part in unicodedata.normalize("NFC", path).split("/") if part != "."]
    if path.startswith("/") or not parts or "" in parts:
        raise InvalidPath(f"{_shown(path)}: write the parts of a relative path between single slashes.")
    if ".." in parts:
        raise InvalidPath(f"{_shown(path)}: a path cannot lead out of the workspace (`..`).")
    if any(_is_strange(character) for character in path):
        raise InvalidPath(
            f"{_shown(path)}: a path is UTF-8, without backslashes, controls and invisible formatting."
        )
    if len(path) > LONGEST_PATH or len(parts) > DEEPEST:
        raise InvalidPath(
            f"{_shown(path)}: a path has at most {LONGEST_PATH} characters and {DEEPEST} parts."
        )
    for part in parts:
        if len(part.encode()) > LONGEST_NAME:
            raise InvalidPath(f"{_shown(path)}: a part of a path has at most {LONGEST_NAME} bytes.")
        if part != part.strip() or part.endswith("."):
            raise InvalidPath(f"{_shown(path)}: no part begins or ends with a blank, or ends with a dot.")
    return "/".join(parts)


def check_tree(paths: list[str]) -> None:
    """Return if these can be files of one folder. Raises InvalidPath where one would be a folder, too."""
    files = set(paths)
    for path in paths:
        folder, _, _ = path.rpartition("/")
        while folder:
            if folder in files:
                raise InvalidPath(f"{_shown(folder)}: it would be a file and a folder, of {_shown(path)}.")
            folder, _, _ = folder.rpartition("/")


def _is_strange(character: str) -> bool:
    # U+FFFD stands for what was no text: of two such names nobody could tell one from the other.
    # Cc: controls; Cf: such as marks of direction, which show another path; Cs: half a character.
    return character in "\\\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _shown(path: str) -> str:
    text = path.encode("utf-8", "replace").decode()
    return repr(text if len(text) <= 100 else f"{text[:99]}…")
