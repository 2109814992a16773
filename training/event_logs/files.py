"""Where event logs lie: folders of this machine, and whatever Spark's own Hadoop client reaches."""

import contextlib
import io
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from common.errors import InvalidRequest

_LIST_SECONDS = 120
_SILENT_SECONDS = 120
"""Of what is read, for which an overloaded cluster may have to wait."""

_SHELL = "org.apache.hadoop.fs.FsShell"
_NO_CONFIGURATION = Path(__file__).with_name("hadoop")


@dataclass(frozen=True)
class Entry:
    """A file or a folder."""

    path: str
    is_folder: bool
    size_bytes: int

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rpartition("/")[2]


class Files(Protocol):
    """Files that can be listed and read."""

    def look(self, path: str) -> Entry:
        """Raises FilesAway: there is none, or it cannot be reached."""
        ...

    def inside(self, folder: str) -> Sequence[Entry]:
        """Of a folder, by name. Raises FilesAway."""
        ...

    def open(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Raises FilesAway, also at the end of what cannot be read whole."""
        ...


class FilesAway(InvalidRequest):
    title = "The event logs cannot be read"


def files_of(path: str) -> Files:
    """What reads a path: this machine's files, or for `hdfs://`, `s3a://` and the like Hadoop's client."""
    scheme, separator, _ = path.partition("://")
    return HadoopFiles() if separator and scheme != "file" else LocalFiles()


class LocalFiles:
    """Of this machine."""

    def look(self, path: str) -> Entry:
        found = Path(path.removeprefix("file://")).expanduser()
        try:
            size = found.stat().st_size
        except OSError as error:
            raise FilesAway(f"{path}: {error.strerror}") from error
        return Entry(str(found), found.is_dir(), size)

    def inside(self, folder: str) -> Sequence[Entry]:
        entries = []
        try:
            with os.scandir(folder) as found:
                for each in found:
                    # Links that lead nowhere, and what Spark renames at the end of an application.
                    with contextlib.suppress(FileNotFoundError):
                        entries.append(Entry(each.path, each.is_dir(), each.stat().st_size))
        except OSError as error:
            raise FilesAway(f"{folder}: {error.strerror}") from error
        return sorted(entries, key=lambda entry: entry.name)

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        try:
            with Path(path).open("rb") as file:
                yield file
        except OSError as error:
            raise FilesAway(f"{path}: {error.strerror or error}") from error


class HadoopFiles:
    """By Hadoop's own shell, as a process: its jars come with Spark, and with them its configuration
    (HADOOP_CONF_DIR) and whatever file systems are installed beside them (`hadoop-aws` for `s3a`)."""

    def look(self, path: str) -> Entry:
        found = self._list("-ls", "-d", path)
        if not found:
            raise FilesAway(f"{path}: there is nothing.")
        return found[0]

    def inside(self, folder: str) -> Sequence[Entry]:
        return sorted(self._list("-ls", folder), key=lambda entry: entry.name)

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        command = [*_hadoop(), "-cat", path]
        with (
            tempfile.TemporaryFile() as errors,  # a pipe that nobody reads meanwhile would hold it up
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, bufsize=0) as process,
        ):
            assert process.stdout is not None, "a pipe"
            content = io.BufferedReader(_Spoken(process.stdout, path))
            try:
                yield content
                if content.read(1) == b"" and process.wait(_SILENT_SECONDS) != 0:
                    errors.seek(0)
                    raise FilesAway(f"{path}: {_last_line(errors.read())}")
            except subprocess.TimeoutExpired as error:
                raise _silent(path, _SILENT_SECONDS) from error
            finally:
                process.kill()

    def _list(self, *arguments: str) -> list[Entry]:
        try:
            done = subprocess.run(
                [*_hadoop(), *arguments], capture_output=True, timeout=_LIST_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise _silent(arguments[-1], _LIST_SECONDS) from error
        if done.returncode != 0:
            raise FilesAway(f"{arguments[-1]}: {_last_line(done.stderr)}")
        return [
            entry for line in done.stdout.decode("utf-8", "replace").splitlines() if (entry := _entry(line))
        ]


class _Spoken(io.RawIOBase):
    """What a process writes; FilesAway once it is silent for too long while somebody waits for it."""

    def __init__(self, stream: Any, path: str) -> None:
        """`stream` is the end of a pipe, without a buffer."""
        self._stream, self._path = stream, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not select.select([self._stream], [], [], _SILENT_SECONDS)[0]:
            raise _silent(self._path, _SILENT_SECONDS)
        read: int = self._stream.readinto(buffer)
        return read


def _silent(path: str, seconds: float) -> FilesAway:
    return FilesAway(f"{path}: no answer within {seconds:g} s.")


def _entry(line: str) -> Entry | None:
    """Of a line such as `-rw-r--r--   3 user group   1234 2026-01-31 12:00 hdfs://…/app-1`."""
    fields = line.split(maxsplit=7)
    if len(fields) < 8 or not fields[4].isdigit():
        return None
    return Entry(fields[7], fields[0].startswith("d"), int(fields[4]))


def _hadoop() -> list[str]:
    java = shutil.which("java") or str(Path(os.environ.get("JAVA_HOME", "")) / "bin" / "java")
    jars = _spark_home() / "jars" / "*"
    folders = [os.environ["HADOOP_CONF_DIR"]] if "HADOOP_CONF_DIR" in os.environ else []
    return [java, "-cp", os.pathsep.join([*folders, str(_NO_CONFIGURATION), str(jars)]), _SHELL]


def _spark_home() -> Path:
    if home := os.environ.get("SPARK_HOME"):
        return Path(home)
    try:
        import pyspark  # only its folder; it is heavy
    except ImportError as error:
        raise FilesAway(
            "Neither SPARK_HOME nor pyspark is there, whose Hadoop client would read it."
        ) from error
    return Path(pyspark.__file__).parent


def _last_line(errors: bytes) -> str:
    lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("at ", "...", "WARN", "SLF4J"))]
    return (told or lines or ["no reason is given"])[-1][:500]
