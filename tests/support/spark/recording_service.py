"""An HTTP server in place of the service: it records what comes and answers as a test wishes."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

NOTHING_TO_PREDICT = {"best_predicted_scale_out_per_job": [], "best_predicted_runtime_per_job": []}


@dataclass(frozen=True)
class Request:
    """One request; `path` is as it was sent, with escapes."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def event(self) -> str:
        return self.body["update_event"]


@dataclass(frozen=True)
class Response:
    """What to answer; a `str` body is sent as it is, `hangs` sends nothing until the server is closed, and
    `breaks` closes the connection instead."""

    status: int = 200
    body: Any = field(default_factory=lambda: NOTHING_TO_PREDICT)
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    breaks: bool = False


class RecordingService:
    """Listens on a free port of the loopback interface while used as a context manager."""

    def __init__(self, respond: Callable[[Request], Response] = lambda request: Response()) -> None:
        self.requests: list[Request] = []
        self.acknowledged: list[Request] = []
        self._respond = respond
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Bodies of the events of one kind that were answered with 200, in the order of their answers."""
        return [request.body for request in self.acknowledged if request.event == name]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(service: Self) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request(self.path, dict(self.headers), json.loads(body))
                with service._lock:
                    service.requests.append(request)
                    response = service._respond(request)
                    if response.status == 200 and not (response.hangs or response.breaks):
                        service.acknowledged.append(request)
                if response.hangs:
                    service._closed.wait()
                    self.close_connection = True
                    return
                if response.breaks:
                    self.close_connection = True
                    return
                with suppress(ConnectionError):  # the listener gives up questions when its application ends
                    self._answer(response)

            def _answer(self, response: Response) -> None:
                text = response.body if isinstance(response.body, str) else json.dumps(response.body)
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent: what came is in `requests`."""

        return Handler


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections, and that no other process gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
