"""Models in HDFS, over WebHDFS.

A delegation token travels in the query of every address, and the HTTP libraries put whole addresses
into their exceptions. Therefore no text of theirs is repeated here, and no exception of theirs stays
behind an error as its cause or context.
"""

import asyncio
import uuid
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import requests
import urllib3
from hdfs import HdfsError

from common.addresses import parse_address
from common.models.artifacts import (
    ArtifactDamaged,
    ArtifactExists,
    ArtifactNotFound,
    check_file_name,
    check_key,
    describe,
    incomplete_name,
    interrupted_writes,
    is_kept,
    keys_of,
    verify,
)
from common.models.webhdfs import HdfsUnavailable, WebHdfs, open_session
from common.settings.hdfs import HdfsSettings

T = TypeVar("T")

_WORKERS = 4
"""Operations at once. Threads of the store's own: during an outage all of them wait for timeouts."""

_REFUSED = ("AccessControlException", "AuthorizationException", "SecurityException")
_UNKNOWN_CALLER = ("AuthenticationException", "InvalidToken")

_UNEXPECTED_ANSWER = (AttributeError, LookupError, TypeError, ValueError)
"""HdfsCLI takes answers apart without looking at them first; requests' JSON errors are ValueErrors."""

_REASONS = {
    "SafeModeException": "HDFS is in safe mode: it can be read, but not written to",
    "StandbyException": "no NameNode of HDFS is active",
    "RetriableException": "the NameNode is still starting",
    "NSQuotaExceededException": "the quota of files is used up",
    "DSQuotaExceededException": "the quota of space is used up",
    "QuotaByStorageTypeExceededException": "the quota of space is used up",
}


class HdfsStore:
    """Artifacts as folders below HDFS_OUTPUT_DIR.

    Raises:
        StartError: As `open_session` does.
    """

    def __init__(self, settings: HdfsSettings) -> None:
        self.identity = ""
        self._root = settings.hdfs_output_dir.rstrip("/")
        session, self._caller, self._caller_setting = open_session(settings)
        self._token = settings.hdfs_token.get_secret_value()
        self._timeout_seconds = settings.hdfs_timeout_seconds
        self._client = WebHdfs(settings.hdfs_endpoint, session=session, timeout=(self._timeout_seconds,) * 2)
        self._executor = ThreadPoolExecutor(_WORKERS, thread_name_prefix="hdfs")

    async def aclose(self) -> None:
        """Let what is running end with its present request, and close the connections."""
        self._client.is_closed = True
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._client.close()

    async def write(self, key: str, files: Mapping[str, bytes]) -> None:
        for name in files:
            check_file_name(name)
        await self._run(self._write, check_key(key), dict(files))

    async def keep(self, key: str, files: Mapping[str, bytes]) -> None:
        for name in files:
            check_file_name(name)
        await self._run(self._keep, check_key(key), dict(files))

    async def read(self, key: str) -> dict[str, bytes]:
        return await self._run(self._read, check_key(key))

    async def delete(self, key: str) -> None:
        await self._run(self._delete, check_key(key))

    async def remove_interrupted_writes(self, prefix: str, keys: Collection[str]) -> list[str]:
        return await self._run(self._remove_interrupted_writes, self._path(check_key(prefix)), keys)

    async def keys(self, prefix: str, *, incomplete: bool = False) -> list[str]:
        return await self._run(self._keys, check_key(prefix), incomplete)

    async def check(self) -> None:
        await self._run(self._check)

    async def check_writable(self) -> None:
        """Return if a file can be written and read; that needs the DataNodes too."""
        await self._run(self._check_writable)

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        if self._client.is_closed:
            raise HdfsUnavailable("The service is stopping")
        call = partial(self._translated, work, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def _translated(self, work: Callable[..., T], *arguments: Any) -> T:
        try:
            return work(*arguments)
        except (HdfsError, urllib3.exceptions.HTTPError, OSError, *_UNEXPECTED_ANSWER) as error:
            failure = self._failure(error)
        raise failure  # out here: inside, the error with its addresses would be the context

    def _write(self, key: str, files: dict[str, bytes]) -> None:
        target = self._path(key)
        if _unless_missing(self._client.status, target) is not None:
            raise ArtifactExists(f"There is an artifact {key!r} already.")
        self._remove_interrupted_writes(target.rpartition("/")[0], [key])
        self._write_beside(key, files)

    def _keep(self, key: str, files: dict[str, bytes]) -> None:
        if is_kept(key, self._sizes(key), files):
            return
        try:
            self._write_beside(key, files)
        except requests.Timeout:
            raise
        except Exception:  # such as somebody else's being there first
            if not is_kept(key, self._sizes(key), files):
                raise

    def _sizes(self, key: str) -> dict[str, int]:
        """Of an artifact's files; none where it is not there."""
        return {
            name: status["length"]
            for name, status in self._list(self._path(key)).items()
            if not _is_folder(status)
        }

    def _write_beside(self, key: str, files: dict[str, bytes]) -> None:
        temporary = self._path(incomplete_name(key))
        try:
            self._client.makedirs(temporary)
            for name, content in files.items():
                self._client.write(f"{temporary}/{name}", data=content)
            self._must_be_complete(temporary, files)
            verify(key, self._read_folder(temporary), describe(files))
            self._publish(key, temporary, files)
        except requests.Timeout:
            # One more request would mean one more timeout. What is left there is no artifact, and is
            # removed by the next write of this key or by its deletion.
            raise
        except Exception:
            with suppress(Exception):
                self._client.delete(temporary, recursive=True)
            raise

    def _must_be_complete(self, folder: str, files: Mapping[str, bytes]) -> None:
        """DataNodes report success for the beginning of a file when its quota ends with a block."""
        for name, status in self._list(folder).items():
            kept, sent = status["length"], len(files.get(name, b""))
            if kept < sent:
                raise HdfsUnavailable(
                    f"HDFS kept {kept} of {sent} bytes of {name}: its space or a quota must be used up"
                )

    def _publish(self, key: str, temporary: str, files: Mapping[str, bytes]) -> None:
        target = self._path(key)
        refusal: HdfsError | None = None
        try:
            self._client.rename_once(temporary, target)
        except HdfsError as error:
            refusal = error
        if refusal is not None and refusal.exception == "FileAlreadyExistsException":
            raise ArtifactExists(f"There is an artifact {key!r} already.")
        sizes = {name: status["length"] for name, status in self._list(target).items()}
        is_there = sizes == {name: len(content) for name, content in files.items()}
        if is_there and refusal is not None:
            # With two NameNodes, the first may have renamed it before its answer was lost, and the second
            # then finds nothing to rename. So it does where another writer took our folder for one that was
            # left behind, and published its own files.
            try:
                verify(key, self._read_folder(target), describe(files))
            except ArtifactDamaged:
                raise ArtifactExists(f"There is an artifact {key!r} already.") from None
        if is_there:
            return
        if refusal is not None:
            raise refusal
        # A gateway that does not know the option has moved it into a folder that was there.
        stray = f"{target}/{temporary.rpartition('/')[2]}"
        if self._client.delete(stray, recursive=True):
            raise ArtifactExists(f"There is an artifact {key!r} already.")
        raise ArtifactDamaged(f"{key}: the files are not in their place after the last step of writing them.")

    def _read(self, key: str) -> dict[str, bytes]:
        files = _unless_missing(self._read_folder, self._path(key))
        if files is None:
            raise ArtifactNotFound(f"There is no artifact {key!r}.")
        return files

    def _delete(self, key: str) -> None:
        path = self._path(key)
        self._client.delete(path, recursive=True)
        self._remove_interrupted_writes(path.rpartition("/")[0], [key])

    def _remove_interrupted_writes(self, folder: str, keys: Collection[str]) -> list[str]:
        left = interrupted_writes(keys, self._list(folder))
        for name in left:
            self._client.delete(f"{folder}/{name}", recursive=True)
        return sorted(set(left.values()))

    def _keys(self, prefix: str, incomplete: bool) -> list[str]:
        names = [name for name, status in self._list(self._path(prefix)).items() if _is_folder(status)]
        return keys_of(prefix, names, incomplete)

    def _check(self) -> None:
        self._client.makedirs(self._root or "/")

    def _check_writable(self) -> None:
        self._check()
        path, content = self._path(f".check-{uuid.uuid4().hex}"), b"Can this be written and read?"
        try:
            self._client.write(path, data=content)
            if self._client.content_of(path, len(content)) != content:
                raise HdfsUnavailable("HDFS returns something else than was written")
        finally:
            with suppress(Exception):
                self._client.delete(path)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _list(self, folder: str) -> dict[str, dict[str, Any]]:
        return dict(_unless_missing(self._client.list, folder, status=True) or ())

    def _read_folder(self, folder: str) -> dict[str, bytes]:
        return {
            name: self._client.content_of(f"{folder}/{name}", status["length"])
            for name, status in sorted(self._client.list(folder, status=True))
            if not _is_folder(status)
        }

    def _failure(self, error: Exception) -> HdfsUnavailable:
        """What a failure means, in words of our own."""
        if isinstance(error, HdfsError):
            return self._refusal(error)
        where = _where(error)
        if isinstance(error, requests.exceptions.SSLError):
            return HdfsUnavailable(
                f"HDFS{where}: no TLS connection, or its certificate is not trusted",
                "HDFS_CA_FILE and HDFS_TLS_VERIFY",
            )
        if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
            return HdfsUnavailable(f"HDFS{where} does not answer within {self._timeout_seconds:g} s")
        inner = error.args[0] if isinstance(error, requests.ConnectionError) and error.args else error
        if isinstance(inner, requests.exceptions.ChunkedEncodingError | urllib3.exceptions.ProtocolError):
            return HdfsUnavailable(f"HDFS{where} broke off the connection")
        if isinstance(error, _UNEXPECTED_ANSWER):
            return HdfsUnavailable(f"What answers is not WebHDFS ({type(error).__name__})")
        return HdfsUnavailable(f"HDFS{where} cannot be reached ({type(error).__name__})")

    def _refusal(self, error: HdfsError) -> HdfsUnavailable:
        name, said = error.exception or "", self._first_line(error)
        if name in _REFUSED:
            return HdfsUnavailable(
                f"HDFS gives {self._caller} no permission below {self._root or '/'}: {said}",
                f"HDFS_OUTPUT_DIR and {self._caller_setting}",
            )
        if name in _UNKNOWN_CALLER:
            return HdfsUnavailable(
                f"HDFS gives no permission to {self._caller}, whom it cannot authenticate: {said}",
                self._caller_setting,
            )
        if name in _REASONS:
            return HdfsUnavailable(f"HDFS cannot be used: {_REASONS[name]}")
        if "replicated to 0 nodes" in said or "Failed to find datanode" in said:
            return HdfsUnavailable("HDFS cannot be used: no DataNode is alive that has space")
        return HdfsUnavailable(f"HDFS refuses: {name or 'error'}: {said}")

    def _first_line(self, error: HdfsError) -> str:
        line = str(error).strip().partition("\n")[0]
        if self._token:  # lest somebody repeat the address that was asked for
            line = line.replace(self._token, "…").replace(quote(self._token, safe=""), "…")
        return line[:300].rstrip(".") or "no reason given"


def _unless_missing(work: Callable[..., T], *arguments: Any, **options: Any) -> T | None:
    """What `work` returns; None where it found nothing there, or a file in place of a folder."""
    try:
        return work(*arguments, **options)
    except HdfsError as error:
        missing = error.exception in ("FileNotFoundException", "ParentNotDirectoryException")
        if not missing and "is not a directory" not in str(error):
            raise
    return None


def _is_folder(status: Mapping[str, Any]) -> bool:
    return bool(status["type"] == "DIRECTORY")


def _where(error: Exception) -> str:
    """Host and port of the request that failed; never more of its address."""
    request = error.request if isinstance(error, requests.RequestException) else None
    if request is None or not request.url:
        return ""
    with suppress(ValueError):
        parts = parse_address(str(request.url))
        return f" at {parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    return ""
