"""A cluster for `enel cluster`: what an API server answers, and programs that note what they are told."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli.commands import cluster_release
from app.cli.main import run
from tests.support.cluster_double import ClusterDouble, Tools
from tests.support.command_line import Enel, Ran


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterDouble]:
    """A cluster in which the service and its operator are installed already."""
    state = ClusterDouble()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = json.loads(self.rfile.read(length)) if length else {}
            status, body = state.answer(self.command, self.path.partition("?")[0], sent)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_DELETE = do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    state.write_kubeconfig = lambda context: (tmp_path / "kubeconfig").write_text(
        yaml.safe_dump(kubeconfig(context, server.server_port))
    )
    state.write_kubeconfig("test")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setattr(cluster_release, "PAUSE_SECONDS", 0.05)
    yield state
    server.shutdown()
    server.server_close()


def kubeconfig(context: str, port: int) -> dict[str, Any]:
    return {
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Puts a script on an otherwise empty PATH; it notes its arguments in a file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, then: str) -> Path:
        noted = tmp_path / f"{name}.txt"
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "$@" >> {noted}\n{then}\n')
        script.chmod(0o755)
        return noted

    return put


@pytest.fixture
def enel(capsys: pytest.CaptureFixture[str]) -> Enel:
    def call(*arguments: object) -> Ran:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Ran(int(code), *capsys.readouterr())

    return call


@pytest.fixture
def helm(tools: Tools, tmp_path: Path) -> Path:
    """Notes its arguments; what stood in the first file of values is in values.yaml beside them."""
    keep = (
        f'for each; do case "$each" in */defaults.yaml) /bin/cp "$each" {tmp_path}/values.yaml;; esac; done'
    )
    return tools("helm", keep)
