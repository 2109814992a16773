"""Files that every process reaches: in a folder, or in HDFS over WebHDFS.

An executor's Python has no JVM: Spark's own way to HDFS is the driver's alone, and WebHDFS everybody's.
"""

import getpass
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 20.0


class WrongLocation(ValueError):
    """Nothing can be stored there; the message says what to write."""


@dataclass(frozen=True)
class Store:
    """Files below a root; paths are relative to it, with slashes."""

    root: str
    webhdfs: str = ""
    """Addresses of NameNodes, separated by `;`; empty: the root is a folder of this machine."""
    hdfs: str = ""
    """How Spark's JVM names that HDFS, such as hdfs://namenode:8020; empty: by its WebHDFS address."""

    def read(self, path: str) -> bytes:
        """A whole file. Raises FileNotFoundError."""
        if not self.webhdfs:
            return Path(self.root, path).read_bytes()
        client = self._client()
        if client.status(path, strict=False) is None:
            raise FileNotFoundError(f"{self.root}/{path}")
        with client.read(path) as reader:
            return bytes(reader.read())

    def write(self, path: str, content: bytes) -> None:
        """A whole file, which nobody ever sees half written; replaces one that is there."""
        unfinished = f"{path}.{uuid.uuid4().hex}.unfinished"
        if not self.webhdfs:
            target = Path(self.root, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            Path(self.root, unfinished).write_bytes(content)
            Path(self.root, unfinished).replace(target)
            return
        client = self._client()
        client.write(unfinished, content)
        client.delete(path)  # HDFS renames onto nothing that is there
        client.rename(unfinished, path)

    def names(self, folder: str) -> list[str]:
        """Of what lies in a folder, sorted; none where there is no folder."""
        if not self.webhdfs:
            there = Path(self.root, folder)
            return sorted(path.name for path in there.iterdir()) if there.is_dir() else []
        client = self._client()
        return sorted(client.list(folder)) if client.status(folder, strict=False) is not None else []

    def delete(self, path: str) -> None:
        """A file, or a folder with all that lies in it; one that is not there is no error."""
        if self.webhdfs:
            self._client().delete(path, recursive=True)
            return
        import shutil

        there = Path(self.root, path)
        if there.is_dir():
            shutil.rmtree(there)
        else:
            there.unlink(missing_ok=True)

    def for_spark(self, path: str) -> str:
        """The URI of a path, for the JVM."""
        if not self.webhdfs:
            return Path(self.root, path).resolve().as_uri()
        if self.hdfs:
            return f"{self.hdfs}{self.root}/{path}"
        parts = urlsplit(self._active())
        scheme = "swebhdfs" if parts.scheme == "https" else "webhdfs"
        return f"{scheme}://{parts.netloc}{self.root}/{path}"

    def _active(self) -> str:
        """The NameNode that answers; another one is in standby. Raises WrongLocation."""
        for address in self.webhdfs.split(";"):
            try:
                _client(address, "/").status("/")
            except Exception:  # the next one may
                continue
            return address
        raise WrongLocation(f"no NameNode answers at {self.webhdfs}")

    def _client(self) -> Any:
        return _client(self.webhdfs, self.root)


def _client(addresses: str, root: str) -> Any:
    import requests
    from hdfs import InsecureClient

    session = requests.Session()
    session.trust_env = False  # a proxy leads out of the cluster, and not to its NameNode
    user = os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
    return InsecureClient(addresses, user=user, root=root, session=session, timeout=_TIMEOUT_SECONDS)


def store_at(location: str, webhdfs: str) -> Store:
    """The store that arguments name.

    Args:
        location: `hdfs://…/folder`, an absolute path in HDFS where `webhdfs` is given, or a folder.
        webhdfs: Such as http://namenode:9870.
    Raises:
        WrongLocation: They contradict each other.
    """
    parts = urlsplit(location)
    if parts.scheme not in ("", "hdfs"):
        raise WrongLocation(f"--location {location}: write hdfs://…, or a folder")
    if parts.scheme == "hdfs" and not webhdfs:
        raise WrongLocation(
            f"--location {location}: also give --webhdfs, such as http://namenode:9870: it is the only way to"
            " HDFS that processes on executors have"
        )
    for address in filter(None, webhdfs.split(";")):
        if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).netloc:
            raise WrongLocation(f"--webhdfs {address}: write an address such as http://namenode:9870")
    if not webhdfs:
        return Store(str(Path(location).resolve()))
    if not parts.path.strip("/") or not parts.path.startswith("/"):
        raise WrongLocation(f"--location {location}: write an absolute path of a folder in HDFS")
    hdfs = f"hdfs://{parts.netloc}" if parts.scheme else ""
    return Store(parts.path.rstrip("/"), webhdfs, hdfs)
