"""Folders of this machine as archives, and archives as folders."""

import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.cli.exits import CliError

SKIPPED = (".git", "__pycache__", ".venv")


@dataclass(frozen=True)
class Packed:
    """A folder as a ZIP."""

    archive: bytes
    files: int
    size_bytes: int
    """Of the files."""
    links: list[str]
    """What was left out, because it leads somewhere else."""


def pack(folder: Path) -> Packed:
    """All files of a folder, but for `SKIPPED` and links. Raises CliError."""
    if not folder.is_dir():
        raise CliError(f"{folder} is no folder.")
    made, files, size_bytes, links = io.BytesIO(), 0, 0, []
    try:
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
            for file in _files(folder):
                name = file.relative_to(folder).as_posix()
                if file.is_symlink():
                    links.append(name)
                elif file.is_file():
                    archive.write(file, name)
                    files, size_bytes = files + 1, size_bytes + archive.getinfo(name).file_size
    except OSError as error:
        raise CliError(f"{error.filename or folder} cannot be read: {error.strerror}.") from error
    except UnicodeError as error:
        raise CliError(f"{folder} holds a file whose name is no text.") from error
    if not files:
        raise CliError(f"{folder} holds no file to send.", f"{', '.join(SKIPPED)} and links are left out.")
    return Packed(made.getvalue(), files, size_bytes, links)


def unpack(archive: bytes, folder: Path, *, force: bool) -> int:
    """Write what an archive holds into a folder, and nowhere else; returns the number of files.

    Args:
        force: Although something lies there.
    Raises:
        CliError: It cannot be written, or something lies there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not force and any(folder.iterdir()):
            raise CliError(f"{folder} is not empty.", "Name another one, or say --force to write over files.")
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            opened.extractall(folder)
            return len(opened.namelist())
    except OSError as error:
        raise CliError(f"{error.filename or folder} cannot be written: {error.strerror}.") from error
    except zipfile.BadZipFile as error:
        raise CliError("What the service sent is no archive.") from error


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=_raise):
        below = Path(root)
        yield from (below / name for name in folders if (below / name).is_symlink())
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        yield from (below / name for name in sorted(names) if name not in SKIPPED)


def _raise(error: OSError) -> None:
    raise error
