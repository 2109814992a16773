"""`enel cluster`, with a helm and a kubectl that note what they are told, and lists of an API server."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli.commands import cluster
from app.cli.main import run
from tests.support.command_line import Enel, Ran

NAME = "enel-enel-service"
CORE, APPS = "/api/v1/namespaces/enel", "/apis/apps/v1/namespaces/enel"
DATA = f"{CORE}/persistentvolumeclaims/data-0"


class Api:
    """Lists by path; ready after so many looks at the StatefulSet."""

    def __init__(self) -> None:
        self.ready_after: float = 0
        self.asked: list[str] = []
        self.looks = 0

    def answer(self, method: str, path: str) -> dict[str, Any] | None:
        self.asked.append(f"{method} {path}")
        if path == f"{APPS}/statefulsets":
            self.looks += 1
        ready = self.looks > self.ready_after
        container = {"ready": ready, "state": {"running": {}}}
        items = {
            f"{APPS}/statefulsets": {"spec": {"replicas": 1}, "status": {"readyReplicas": int(ready)}},
            f"{CORE}/pods": {
                "spec": {"containers": [{}]},
                "status": {"phase": "Running", "containerStatuses": [container]},
            },
            f"{CORE}/persistentvolumeclaims": {"spec": {}, "status": {"phase": "Bound"}},
            f"{CORE}/services": {"spec": {"ports": [{"port": 5000}]}},
            f"{CORE}/events": {"type": "Warning", "involvedObject": {"name": NAME}, "message": "careful"},
        }
        if path == DATA:
            return {}
        names = {f"{CORE}/persistentvolumeclaims": "data-0"}
        found = items.get(path)
        return None if found is None else {"items": [{"metadata": {"name": names.get(path, NAME)}, **found}]}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    state = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = state.answer(self.command, self.path.partition("?")[0])
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(body or {}).encode())

        do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setattr(cluster, "_PAUSE_SECONDS", 0.05)
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
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


Tools = Callable[[str, str], Path]


def test_up_installs_the_chart_and_waits(enel: Enel, api: Api, tools: Tools) -> None:
    noted = tools("helm", "exit 0")
    api.ready_after = 3
    ran = enel("cluster", "up", "--values", "mine.yaml", "--set", "replicas=1")
    assert ran.code == 0, ran.err
    said = noted.read_text().split()
    assert said[:3] == ["upgrade", "--install", "enel"]
    assert (Path(said[3]) / "Chart.yaml").is_file()
    assert said[4:] == [
        *("--namespace", "enel", "--create-namespace"),
        *("--values", "mine.yaml", "--set", "replicas=1"),
    ]
    assert f"waits for pod {NAME}: started, not ready yet" in ran.err
    assert "ready: 1 of 1 replicas" in ran.out
    assert "enel cluster url" in ran.err


def test_up_gives_up_and_says_what_is_missing(enel: Enel, api: Api, tools: Tools) -> None:
    tools("helm", "exit 0")
    api.ready_after = 1e9
    ran = enel("cluster", "up", "--timeout", 1)
    assert ran.code == 5
    assert "/readyz needs MongoDB" in ran.out
    assert "careful" in ran.out
    assert "is not ready after 1 s" in ran.err


def test_what_helm_refuses_is_said(enel: Enel, api: Api, tools: Tools) -> None:
    tools("helm", "echo 'Error: values do not fit the schema' >&2; exit 1")
    ran = enel("cluster", "up")
    assert (ran.code, ran.out) == (1, "")
    assert "Helm refuses: Error: values do not fit the schema" in ran.err


def test_without_helm_or_a_cluster_nothing_is_tried(
    enel: Enel, api: Api, tools: Tools, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran = enel("cluster", "up")
    assert ran.code == 1
    assert "helm.sh" in ran.err
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    ran = enel("cluster", "up")
    assert ran.code == 3
    assert "kind create cluster" in ran.err


def test_status_says_how_it_is(enel: Enel, api: Api) -> None:
    ran = enel("cluster", "status")
    assert ran.code == 0, ran.err
    assert "data-0" in ran.out
    api.ready_after = 1e9
    ran = enel("cluster", "status", "--json")
    assert ran.code == 5
    assert json.loads(ran.out)["is_ready"] is False


def test_url_prints_the_address(enel: Enel, api: Api, tools: Tools) -> None:
    noted = tools("kubectl", "echo 'Forwarding from 127.0.0.1:40123 -> 5000'")
    ran = enel("cluster", "url")
    assert (ran.code, ran.out) == (0, "http://127.0.0.1:40123\n")
    assert noted.read_text().split() == ["port-forward", "--namespace", "enel", f"service/{NAME}", ":5000"]


def test_down_keeps_the_data_unless_told(enel: Enel, api: Api, tools: Tools) -> None:
    noted = tools("helm", "exit 0")
    assert enel("cluster", "down").code == 0
    assert f"DELETE {DATA}" not in api.asked
    ran = enel("cluster", "down", "--delete-data")
    assert "data-0" in ran.err
    assert f"DELETE {DATA}" in api.asked
    assert noted.read_text().count("uninstall enel --namespace enel") == 2
