"""What is sent to HDFS, and that a token stays secret whatever is answered; a local server listens."""

import json
import logging
import shutil
import ssl
import subprocess
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from common.models.artifacts import ArtifactNotFound, StoreUnavailable
from common.models.hdfs import HdfsStore
from common.models.webhdfs import HdfsUnavailable
from common.processes.guarded import free_port
from common.settings.hdfs import HdfsSettings
from tests.support.services import failing_start

TOKEN = "HAAEcm9vdARy+secret/token=="
"""As Hadoop prints them; in an address it looks different."""

SPELLINGS = (TOKEN, quote(TOKEN, safe=""), quote(TOKEN, safe="/"), "HAAEcm9v")

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: Answer
    seen: list[tuple[str, str, dict[str, list[str]]]]

    @property
    def operation(self) -> str:
        return parse_qs(urlsplit(self.path).query)["op"][0]

    def send(self, status: int, body: object, **headers: str) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def handle_any(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        self.seen.append((self.command, parts.path, parse_qs(parts.query)))
        type(self).answer(self)

    do_GET = do_PUT = do_DELETE = handle_any

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Clients that go away are meant."""


@contextmanager
def listening(answer: Answer, certificate: Path | None = None) -> Iterator[tuple[str, list[Any]]]:
    """Address of a server, and what it was asked."""
    handler = type("Handler", (Request,), {"answer": answer, "seen": []})
    server = Server(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_name("key.pem"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}", handler.seen
    finally:
        server.shutdown()
        server.server_close()


@asynccontextmanager
async def opened(endpoint: str, **settings: Any) -> AsyncIterator[HdfsStore]:
    store = HdfsStore(HdfsSettings(hdfs_endpoint=endpoint, **{"hdfs_timeout_seconds": 20.0, **settings}))
    try:
        yield store
    finally:
        await store.aclose()


def accept(request: Request) -> None:
    request.send(200, {"boolean": True})


def remote(exception: str, message: str) -> dict[str, Any]:
    return {
        "RemoteException": {"exception": exception, "javaClassName": f"x.{exception}", "message": message}
    }


def a_file_of(length: int, then: Answer) -> Answer:
    status = {"type": "FILE", "length": length, "pathSuffix": "weights"}

    def answer(request: Request) -> None:
        if request.operation == "LISTSTATUS":
            request.send(200, {"FileStatuses": {"FileStatus": [status]}})
        elif request.operation == "GETFILESTATUS":
            request.send(200, {"FileStatus": {**status, "type": "DIRECTORY"}})
        else:
            then(request)

    return answer


def cut_off(request: Request) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "100")
    request.end_headers()
    request.wfile.write(b"half")
    request.close_connection = True


def strange_headers(request: Request) -> None:
    """The HTTP library warns of them, with the whole address."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nno header at all\r\nContent-Length: 1\r\n\r\n?")
    request.close_connection = True


def hang(request: Request) -> None:
    threading.Event().wait(3)


def say(status: int) -> Answer:
    return lambda request: request.send(status, f"<html>{request.path} {TOKEN}</html>")


ANSWERS: dict[str, Answer] = {
    "hang up": lambda request: setattr(request, "close_connection", True),
    "hang": hang,
    "strange headers": strange_headers,
    "a web page": say(200),
    "a page that refuses to authenticate": say(401),
    "a page that forbids": say(403),
    "a page that is missing": say(404),
    "a failing gateway": say(502),
    "an error that repeats everything": lambda request: request.send(
        403, remote("IOException", f"cannot answer {request.path} with {TOKEN}")
    ),
    "an unknown token": lambda request: request.send(
        401, remote("SecurityException", f"{TOKEN} has expired")
    ),
    "a standby": lambda request: request.send(403, remote("StandbyException", TOKEN)),
    "an unusual error": lambda request: request.send(500, {"RemoteException": None}),
    "JSON of another kind": lambda request: request.send(200, [TOKEN]),
    "a DataNode that is away": lambda request: request.send(
        307, "", Location=f"http://127.0.0.1:{free_port()}/webhdfs/v1/x?op=OPEN&delegation={quote(TOKEN)}"
    ),
    "a redirect to nowhere": lambda request: request.send(
        307, "", Location=f"http://?delegation={quote(TOKEN)}"
    ),
    "a redirect to itself": lambda request: request.send(307, "", Location=request.path),
    "half a file": a_file_of(100, cut_off),
    "a shorter file": a_file_of(100, lambda request: request.send(200, "short")),
    "a DataNode that is away for files": a_file_of(
        1,
        lambda request: request.send(
            307, "", Location=f"http://127.0.0.1:{free_port()}/?delegation={quote(TOKEN)}"
        ),
    ),
}


def everything_told(error: BaseException) -> str:
    told = ["".join(traceback.format_exception(error))]
    link: BaseException | None = error
    while link is not None:
        told += [str(link), repr(link)]
        link = link.__cause__ or link.__context__
    return "\n".join(told)


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_token_is_in_no_message_and_no_log(
    name: str, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    told = ""
    with caplog.at_level(logging.DEBUG), listening(ANSWERS[name]) as (endpoint, seen):
        seconds = 0.5 if name == "hang" else 20.0
        async with opened(endpoint, hdfs_token=TOKEN, hdfs_timeout_seconds=seconds) as store:
            with pytest.raises(StoreUnavailable) as caught:
                await store.read("a/b")
            told += everything_told(caught.value)
            for operation in (
                store.write("a/b", {"x": b"1"}),
                store.keys("a"),
                store.delete("a/b"),
                store.check(),
            ):
                # Some of them take any answer for a yes.
                with suppress(Exception):
                    try:
                        await operation
                    except Exception as error:
                        told += everything_told(error)
                        raise
    assert seen[0][2]["delegation"] == [TOKEN]
    told += caplog.text + "".join(str(warning.message) for warning in recwarn)
    assert not [spelling for spelling in SPELLINGS if spelling in told]


@pytest.mark.parametrize("path", ["/", "/webhdfs"])
async def test_a_server_of_another_kind_is_not_taken_for_hdfs(path: str) -> None:
    with listening(say(200)) as (endpoint, _):
        async with opened(endpoint + path) as store:
            with pytest.raises(HdfsUnavailable, match="not WebHDFS"):
                await store.check_writable()


async def test_a_debug_log_of_a_failing_start_keeps_the_token(tmp_path: Path) -> None:
    with listening(say(401)) as (endpoint, seen):
        settings = {"LOGGING_LEVEL": "DEBUG", "HDFS_ENDPOINT": endpoint, "HDFS_TOKEN": TOKEN}
        code, output = await failing_start(tmp_path, **settings)
    assert code == 2
    assert seen
    refusal = "HDFS_TOKEN: HDFS gives no permission to the owner of the token"
    assert f"Enel Service cannot start: {refusal}" in output
    assert "Traceback" not in output
    assert not [spelling for spelling in SPELLINGS if spelling in output]


async def test_a_token_or_a_user_say_who_asks() -> None:
    with listening(accept) as (endpoint, seen):
        async with opened(endpoint, hdfs_token=TOKEN) as store:
            await store.check()
        async with opened(endpoint, hdfs_user="enel") as store:
            await store.check()
        async with opened(endpoint) as store:
            await store.check()
    with_token, with_user, by_default = (query for _, _, query in seen)
    assert with_token["delegation"] == [TOKEN]
    assert "user.name" not in with_token
    assert with_user["user.name"] == ["enel"]
    assert "delegation" not in with_user
    assert by_default["user.name"][0]


async def test_a_standby_is_passed_over() -> None:
    with listening(lambda request: request.send(403, remote("StandbyException", "not active"))) as (
        standby,
        _,
    ):
        with listening(accept) as (active, seen):
            async with opened(f"{standby};{active}") as store:
                await store.check()
                await store.check()
        assert len(seen) == 2
        async with opened(standby) as store:
            with pytest.raises(HdfsUnavailable, match="no NameNode of HDFS is active"):
                await store.check()


async def test_what_vanishes_while_it_is_read_is_missing() -> None:
    gone = a_file_of(
        1, lambda request: request.send(404, remote("FileNotFoundException", "File does not exist"))
    )
    with listening(gone) as (endpoint, _):
        async with opened(endpoint) as store:
            with pytest.raises(ArtifactNotFound):
                await store.read("a/b")


async def test_the_environment_of_other_programs_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "")
    with listening(accept) as (endpoint, _):
        async with opened(endpoint) as store:
            await store.check()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """For 127.0.0.1, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return tmp_path / "certificate.pem"


async def test_certificates_are_verified_unless_that_is_switched_off(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    with listening(accept, certificate) as (endpoint, seen):
        async with opened(endpoint) as store:
            with pytest.raises(HdfsUnavailable, match="certificate is not trusted") as caught:
                await store.check()
            assert caught.value.look_at == "HDFS_CA_FILE and HDFS_TLS_VERIFY"
        assert not seen
        async with opened(endpoint, hdfs_ca_file=str(certificate)) as store:
            await store.check()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        async with opened(endpoint) as store:
            with pytest.raises(HdfsUnavailable, match="certificate is not trusted"):
                await store.check()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", ssl.get_default_verify_paths().openssl_cafile)
        async with opened(endpoint, hdfs_tls_verify=False) as store:
            await store.check()
        assert len(seen) == 2
    assert not [warning for warning in recwarn if "HTTPS" in str(warning.message)]
