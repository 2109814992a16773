"""The launcher beside a service that it reports to: what it says where something fails."""

import io
import json
import resource
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from common.settings.group import PROJECT_ROOT
from submission.launcher import reports
from submission.launcher.log import Budget
from submission.launcher.reports import Reports
from submission.launcher.service import Service, insist
from submission.programs.documents import ProgramRun
from submission.programs.reports import ProgressReport, changes_of

STOPPED = """
import sys
from pathlib import Path
from submission.launcher.program import Limits, Program, surroundings
folder = Path(sys.argv[1])
sleeping = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
limits = Limits(time_seconds=60, disk_bytes=1 << 30, processes=100, log_bytes=1 << 20)
program = Program([sys.executable, "-c", sleeping], folder, folder, surroundings(folder, None), limits)
print(program.wait(lambda: program.stop("it was asked to end")))
"""


class _Handler(BaseHTTPRequestHandler):
    server: "Listening"

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        what = self.path.rpartition("/")[2]
        self.server.said.append((what, said))
        if self.server.loses_answers:
            self.server.heard.set()
            return
        answer = json.dumps(self.server.task if what == "start" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.archive)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Listening(ThreadingHTTPServer):
    """Notes what launchers report."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.loses_answers = False
        self.heard = threading.Event()
        self.task: dict[str, Any] = {}
        self.archive = b""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def listening() -> Iterator[Listening]:
    with Listening() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_lines_after_a_heartbeat_whose_answer_was_lost_are_another_report(
    listening: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(reports, "_PAUSE_SECONDS", 0.05)
    listening.loses_answers = True
    with Reports(Service(listening.address, "x"), 1, tmp_path / "progress", Budget(0)):
        assert listening.heard.wait(60)
        (tmp_path / "progress").write_text('{"message": "it has come"}\n')
        listening.loses_answers = False
    run = ProgramRun(id="x", workspace="w")
    for _, report in listening.said:
        changes = changes_of(run, ProgressReport.model_validate(report))
        run = ProgramRun.model_validate({**run.model_dump(), **changes})
    assert run.message == "it has come"


def test_a_program_that_was_stopped_has_the_exit_code_of_that(tmp_path: Path) -> None:
    # In a process of its own, since all that descends from it is ended.
    command = [sys.executable, "-c", STOPPED, str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "Ended(exit_code=143, reason='it was asked to end')\n"


def test_a_full_disk_is_not_taken_for_a_service_that_is_away() -> None:
    def write() -> None:
        with Path("/dev/full").open("wb") as file:
            file.write(b"x")

    with pytest.raises(OSError, match="No space left on device"):
        insist(write, 0.0)


def test_files_that_cannot_be_written_end_it_with_the_reason(listening: Listening, tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member = tarfile.TarInfo("large")
        member.size = 1 << 20
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    listening.archive = made.getvalue()
    files = [{"path": "large", "size_bytes": 1 << 20, "sha256": "0" * 64}]
    listening.task = {"attempt": 1, "files": files, "parent": None, "inputs": {}, "environment": None}
    launcher = PROJECT_ROOT / "submission" / "launcher" / "launch.py"
    done = subprocess.run(
        [sys.executable, str(launcher), listening.address, "x"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16)),
    )
    assert done.returncode == 70, done.stderr
    [(_, end)] = [each for each in listening.said if each[0] == "end"]
    assert end["exit_code"] == 70
    assert end["reason"] == (
        f"The launcher cannot use its own files (File too large: {tmp_path / 'program'})."
    )
    assert not (tmp_path / "program").exists()
