"""Folders of a process, and what is left of them when it is killed."""

import shutil
import stat
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from common.processes import owned_folders
from common.settings.group import PROJECT_ROOT

MAKING = """
import sys, time
from common.processes import owned_folders
print(owned_folders.make(sys.argv[1]), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("by_making", [True, False])
def test_a_folder_is_removed_once_its_process_was_killed_and_not_before(by_making: bool) -> None:
    prefix = f"enel-test-{uuid.uuid4().hex[:6]}-"

    def remove_left() -> Path | None:
        return owned_folders.make(prefix) if by_making else owned_folders.remove_left(prefix)

    process = subprocess.Popen(
        [sys.executable, "-c", MAKING, prefix], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    )
    made: list[Path | None] = []
    try:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "token").write_text("hunter2")
        made.append(remove_left())
        assert (folder / "token").exists()
        process.kill()
        process.wait()
        made.append(remove_left())
        assert not folder.exists()
        assert all(own.is_dir() for own in made if own)
    finally:
        process.kill()
        process.wait()
        for own in made:
            if own:
                shutil.rmtree(own)
