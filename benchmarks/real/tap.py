"""Between Spark's plugin and the service: passes every report on, and keeps what was reported.

The plugin of every run reports here, also of runs that the service knows nothing of: all policies are
measured by the same reports. It takes about a millisecond of each.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from common.wire.events import UpdateInformation

Json = dict[str, Any]

_ANSWER_SECONDS = 60.0
_MOST_JOBS_AHEAD = 500
_NOTHING: Json = {
    "best_predicted_scale_out_per_job": [],
    "best_predicted_runtime_per_job": [],
    "reason": "nobody is asked",
}


@dataclass
class Watched:
    """One application execution, as its driver reports it."""

    known_to_service: bool = True
    started: Json | None = None
    jobs: dict[int, Json] = field(default_factory=dict)
    ended: Json | None = None
    first_report: threading.Event = field(default_factory=threading.Event)
    rescale_to: int | None = None
    """What it is told to go on with after `rescale_after_job`, instead of what the service says."""
    rescale_after_job: int = -1
    asked: list[int] = field(default_factory=list)
    """Scale-outs that were recommended for the next job, in the order of the answers."""
    after_job: Callable[[int], None] = lambda job_id: None

    def take(self, event: str, updates: Json) -> None:
        if event == "APPLICATION_START":
            self.started = updates
            self.first_report.set()
        elif event == "APPLICATION_END":
            self.ended = updates
        else:
            self.jobs[updates["job_id"]] = updates


class Tap:
    """An HTTP server on loopback.

    Args:
        port: To listen on.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.service_url = ""
        self._watched: dict[str, Watched] = {}
        self._lock = threading.Lock()
        self._http = httpx.Client(timeout=_ANSWER_SECONDS, trust_env=False)

    def watch(self, execution_id: str) -> Watched:
        """What is known of an execution; also before its driver has said anything."""
        with self._lock:
            return self._watched.setdefault(execution_id, Watched())

    def answer(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers for one report."""
        report = json.loads(body)
        update = UpdateInformation.model_validate(report)
        watched = self.watch(update.application_execution_id)
        if update.update_event == "JOB_END" and update.job_id is not None:
            watched.after_job(update.job_id)  # before anybody is asked: at the same moment for all policies
        if watched.known_to_service:
            response = self._http.post(f"{self.service_url}{path}", content=body, headers=headers)
            if not response.is_success:
                return response.status_code, response.content, _passed(dict(response.headers))
            answer = response.json()
        else:
            answer = dict(_NOTHING)
        updates = dict(update.updates)
        if update.job_id is not None:
            updates["job_id"] = update.job_id
        elif update.application_id is not None:
            updates["application_id"] = update.application_id
        is_asked = bool(report.get("predict"))
        watched.take(update.update_event, updates)
        if is_asked and watched.rescale_to is not None and updates["job_id"] >= watched.rescale_after_job:
            ahead = range(updates["job_id"] + 1, updates["job_id"] + _MOST_JOBS_AHEAD)
            answer["best_predicted_scale_out_per_job"] = [[job, watched.rescale_to] for job in ahead]
        if is_asked and answer.get("best_predicted_scale_out_per_job"):
            watched.asked.append(answer["best_predicted_scale_out_per_job"][0][1])
        return 200, json.dumps(answer).encode(), {"Content-Type": "application/json"}

    def close(self) -> None:
        self._http.close()


@contextmanager
def running_tap(port: int) -> Iterator[Tap]:
    """A tap that answers until the end; its `service_url` is to be set before anything is reported."""
    tap = Tap(port)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if len(body) < length:  # the plugin has hung up in the middle of it; it will send it again
                self.close_connection = True
                return
            names = ("Content-Type", "Accept", "Authorization", "User-Agent")
            headers = {name: self.headers[name] for name in names if self.headers[name]}
            try:
                status, content, said = tap.answer(self.path, body, headers)
            except httpx.TransportError:
                status, content, said = 503, b"{}", {"Content-Type": "application/json", "Retry-After": "1"}
            try:
                self.send_response(status)
                for name, value in said.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the plugin waits for no answer that comes too late

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the service has a log of its own."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield tap
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        tap.close()


def _passed(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in ("content-type", "retry-after")}
