"""A Hadoop client that says much, or nothing."""

import os
from pathlib import Path

import pytest

from training.event_logs import files
from training.event_logs.files import FilesAway, HadoopFiles


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in place of Hadoop's client, to be written."""
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    return program


def write(program: Path, *lines: str) -> None:
    program.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    program.chmod(0o755)


MUCH = "head -c 200000 /dev/zero | tr '\\0' x >&2"
"""More than a pipe holds."""


@pytest.mark.timeout(60)
def test_a_client_that_logs_much_is_read_and_its_last_words_are_told(java: Path) -> None:
    write(java, MUCH, "echo content")
    with HadoopFiles().open("hdfs://host/log") as file:
        assert file.read() == b"content\n"
    write(java, MUCH, "echo >&2", "echo \"cat: No such file: 'log'\" >&2", "exit 1")
    with pytest.raises(FilesAway, match="hdfs://host/log: cat: No such file"):  # noqa: SIM117
        with HadoopFiles().open("hdfs://host/log") as file:
            assert file.read() == b""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("lines", [["echo begin", "exec sleep 600"], ["exec >&-", "exec sleep 600"]])
def test_a_client_that_falls_silent_is_given_up(
    java: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    """In the middle of a file, and where it has closed its output and does not end."""
    monkeypatch.setattr(files, "_SILENT_SECONDS", 1)
    write(java, *lines)
    with pytest.raises(FilesAway, match="no answer within 1 s"):  # noqa: SIM117
        with HadoopFiles().open("hdfs://host/log") as file:
            file.read()
