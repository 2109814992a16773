"""A disk of a test's own to fill, empty, and make read-only: a tmpfs, where one may be mounted."""

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, left_bytes: int = 0) -> None:
        """Take all the room but so much."""
        with self._filler.open("ab", buffering=0) as file:
            with contextlib.suppress(OSError):
                while file.write(bytes(1 << 16)):
                    pass
            if left_bytes:
                file.truncate(max(0, file.tell() - left_bytes))

    def make_room(self) -> None:
        self._filler.unlink()

    def read_only(self, yes: bool = True) -> None:
        """Files that are open for writing are in the way of it."""
        subprocess.run(["mount", "-o", f"remount,{'ro' if yes else 'rw'}", self.folder], check=True)


@contextmanager
def small_disk(folder: Path, size: str = "8m") -> Iterator[Disk]:
    """Skips the test where nothing may be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted: {mounted.stderr.decode().strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
