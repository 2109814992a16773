"""The service, as the launcher asks it: with the execution's own token, and again while it is away."""

import errno
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

TOKEN_VARIABLE = "ENEL_CALLBACK_TOKEN"  # noqa: S105 - a name

_PATIENCE_SECONDS = 600.0
"""A restart of the service, or a store that is away, costs no run."""

_LONGEST_PAUSE_SECONDS = 15.0
_TIMEOUT_SECONDS = 60.0
_PIECE = 1 << 20

_OF_A_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""What goes wrong with files of one's own, and never with a connection."""


class Refused(Exception):
    """The service has answered, and will not do it; asking again would not help."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"{status}: {why}")
        self.status = status


class Away(Exception):
    """The service has not answered for long."""


class Service:
    """Calls about one application execution."""

    def __init__(self, address: str, execution_id: str, token: str = "") -> None:
        self._base = f"{address.rstrip('/')}/training/program_runs/{execution_id}"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        # What a proxy is configured for is the world outside, and not the service beside us.
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def post(self, path: str, body: Mapping[str, Any], *, patience_seconds: float = _PATIENCE_SECONDS) -> Any:
        """The answer, as JSON. Raises Refused or Away."""
        data = json.dumps(body, allow_nan=False).encode()
        headers = {"Content-Type": "application/json"}

        def ask() -> Any:
            with self._request("POST", path, data, headers) as response:
                answer = response.read()
            try:
                return json.loads(answer or b"null")
            except ValueError as error:  # of something in between that answers for the service
                raise EOFError("an answer that is no JSON") from error

        return insist(ask, patience_seconds)

    def put(self, path: str, content: bytes) -> None:
        """Raises Refused or Away."""
        headers = {"Content-Type": "application/octet-stream"}

        def ask() -> None:
            with self._request("PUT", path, content, headers) as response:
                response.read()

        insist(ask)

    def read(self, path: str, consume: Callable[[HTTPResponse], T]) -> T:
        """What `consume` makes of the answer's body, from its beginning if it breaks off.

        Raises:
            Refused, Away: There is no answer.
            OSError: What comes cannot be written.
        """

        def ask() -> T:
            with self._request("GET", path, None, {}) as response:
                return consume(response)

        return insist(ask)

    def download(self, path: str, target: Path) -> None:
        """Write the answer's body to a file. Raises as `read` does."""

        def write(response: HTTPResponse) -> None:
            with target.open("wb") as file:
                while piece := response.read(_PIECE):
                    file.write(piece)

        self.read(path, write)

    def _request(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]
    ) -> HTTPResponse:
        request = urllib.request.Request(  # noqa: S310 - the address is the service's own
            f"{self._base}/{path}", data=data, method=method, headers={**self._headers, **headers}
        )
        response: HTTPResponse = self._open(request, timeout=_TIMEOUT_SECONDS)
        return response


def insist(ask: Callable[[], T], patience_seconds: float = _PATIENCE_SECONDS) -> T:
    """Ask until there is an answer.

    Raises:
        Refused: The answer is no (4xx, but for 408 and 429).
        Away: There was none in this time.
        OSError: A file or folder of one's own is in the way; the service has nothing to do with it.
    """
    deadline, pause = time.monotonic() + patience_seconds, 0.2
    while True:
        try:
            return ask()
        except urllib.error.HTTPError as error:
            why = _told(error)
            if 400 <= error.code < 500 and error.code not in (408, 429):
                raise Refused(error.code, why) from error
        except (OSError, HTTPException, EOFError) as error:
            if isinstance(error, OSError) and _is_of_a_disk(error):
                raise
            why = f"{type(error).__name__}: {error}"
        if time.monotonic() + pause > deadline:
            raise Away(why)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _is_of_a_disk(error: OSError) -> bool:
    return error.errno in _OF_A_DISK or error.filename is not None


def _told(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.loads(error.read())
        return str(problem.get("detail") or problem.get("title"))[:1000]
    except (ValueError, OSError, AttributeError):
        return str(error.reason)


def from_arguments(arguments: list[str]) -> Service:
    """The service's address and the execution's id; the token is taken out of the environment.

    Raises:
        ValueError: There are others than these two.
    """
    address, execution_id = arguments
    return Service(address, execution_id, os.environ.pop(TOKEN_VARIABLE, ""))
