"""Workspaces on the command line."""

import json
from pathlib import Path

import pytest

from app.cli.exits import CliError
from app.cli.folders import pack, unpack
from app.cli.units import size
from tests.support.command_line import Enel
from tests.support.samples import unique_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a program, with what nobody wants to send."""
    made = tmp_path / "program"
    for path in ("train.py", "data/a.bin", ".git/config", "data/__pycache__/x.pyc", ".venv/bin/python"):
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_bytes(path.encode() + b"\xff\n")
    (made / "link").symlink_to("/etc/hostname")
    (made / "folder").symlink_to(tmp_path)
    return made


def test_a_folder_is_pushed_looked_at_and_pulled(enel: Enel, folder: Path, tmp_path: Path) -> None:
    name = unique_name("cli").replace("_", "-").lower()
    pushed = enel("workspaces", "push", name, folder, "--folder", "digits")
    assert pushed.code == 0, pushed.err
    assert f"Made the workspace {name}." in pushed.err
    assert "Sent 2 files, 22 B" in pushed.err
    assert "they are links: folder, link" in pushed.err
    assert "2 of 2,000" in pushed.out
    assert name in enel("workspaces", "list").out
    listed = enel("workspaces", "ls", name)
    assert "digits/data/a.bin" in listed.out
    found = json.loads(enel("workspaces", "ls", name, "digits/data", "--json").out)
    assert [each["path"] for each in found] == ["digits/data/a.bin"]
    pulled = enel("workspaces", "pull", name, tmp_path / "pulled", "--folder", "digits")
    assert pulled.code == 0, pulled.err
    assert (tmp_path / "pulled" / "data" / "a.bin").read_bytes() == b"data/a.bin\xff\n"
    assert enel("workspaces", "pull", name, tmp_path / "pulled").code == 2
    (folder / "data" / "a.bin").unlink()
    again = enel("workspaces", "push", name, folder, "--folder", "digits", "--replace", "--json")
    assert json.loads(again.out)["files"] == 1
    assert "Made" not in again.err
    assert enel("workspaces", "rm", name, "digits/train.py").code == 0
    shown = json.loads(enel("workspaces", "show", name, "--json").out)
    assert (shown["files"], shown["readers"]) == (0, ["*"])
    changed = enel("workspaces", "create", name, "--reader", "ada", "--reader", "bob", "--runner", "ada")
    assert "ada, bob" in changed.out
    assert enel("workspaces", "delete", name).code == 0
    gone = enel("workspaces", "show", name)
    assert (gone.code, "There is no workspace" in gone.err) == (1, True)


def test_a_file_is_printed_as_it_is(enel: Enel, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a").write_text("ä\n")
    assert enel("workspaces", "push", "printed", tmp_path / "one").code == 0
    assert enel("workspaces", "cat", "printed", "a").out == "ä\n"


def test_names_are_refused_before_anything_is_sent(enel: Enel, folder: Path) -> None:
    refused = enel("workspaces", "push", "No Name", folder)
    assert (refused.code, "lower-case" in refused.err) == (1, True)


def test_what_is_no_folder_or_empty_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "empty" / ".git").mkdir(parents=True)
    for path in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(CliError):
            pack(path)


def test_an_archive_is_written_into_its_folder_alone(tmp_path: Path, folder: Path) -> None:
    packed = pack(folder)
    into = tmp_path / "deep" / "into"
    assert unpack(packed.archive, into, force=False) == packed.files == 2
    with pytest.raises(CliError, match="not empty"):
        unpack(packed.archive, into, force=False)
    assert unpack(packed.archive, into, force=True) == 2
    with pytest.raises(CliError, match="no archive"):
        unpack(b"x", tmp_path / "other", force=False)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (12, "12 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (64 << 20, "64 MiB"),
        (2 << 50, "2048 TiB"),
    ],
)
def test_sizes_have_units(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text
