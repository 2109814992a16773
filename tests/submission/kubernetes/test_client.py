"""How the API server is reached, what is repeated, and what its refusals become."""

import asyncio
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from kubernetes.aio.config import incluster_config
from pydantic import ValidationError

from benchmarks.support.kubernetes_api import KubernetesApi, kubernetes_api
from common.errors import NotFound, StartError
from common.settings.kubernetes import KubernetesSettings
from submission.kubernetes.client import kubernetes_client
from submission.kubernetes.errors import (
    Access,
    KubernetesConflict,
    KubernetesForbidden,
    KubernetesRefused,
    KubernetesUnavailable,
    ResourceKindMissing,
    ResourceVersionExpired,
    error_of,
)
from tests.support.on_kubernetes import connected

MODIFIED = 'Operation cannot be fulfilled on resourcequotas "small": the object has been modified'
PATH = "/apis/sparkoperator.k8s.io/v1beta2/namespaces/default/sparkapplications"
ACCESS = Access("list", "sparkapplications.sparkoperator.k8s.io", "default")


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with kubernetes_api() as api:
        yield api


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, with its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, file = folder / "key.pem", folder / "certificate.pem"
    arguments = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(file)]
    subprocess.run(["openssl", *arguments, *names], check=True, capture_output=True)
    file.write_text(file.read_text() + key.read_text())
    return file


@asynccontextmanager
async def over_tls(certificate: Path, token: str = "") -> AsyncIterator[str]:
    """The double behind TLS, in this loop."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    runner = web.AppRunner(KubernetesApi(token=token).application(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def kubeconfig(folder: Path, server: str, token: str, **cluster: Any) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
                "clusters": [{"name": "one", "cluster": {"server": server, **cluster}}],
                "users": [{"name": "me", "user": {"token": token}}],
            }
        )
    )
    return path


async def names(settings: KubernetesSettings) -> list[str]:
    async with kubernetes_client(settings) as kubernetes:
        answer = await kubernetes.request("GET", PATH, ACCESS)
        return [item["metadata"]["name"] for item in answer.json()["items"]]


# --- connections ----------------------------------------------------------------------------------


async def test_with_a_token(api: KubernetesApi) -> None:
    api.token = "sesame"
    settings = KubernetesSettings(kubernetes_endpoint=api.url, kubernetes_api_key="sesame")
    assert await names(settings) == []
    api.token = "another"
    with pytest.raises(KubernetesUnavailable, match="does not know who asks") as caught:
        await names(settings)
    assert "sesame" not in str(caught.value)


async def test_with_a_kubeconfig_whose_token_is_replaced(api: KubernetesApi, tmp_path: Path) -> None:
    api.token = "first"
    path = kubeconfig(tmp_path, api.url, "first")
    before = path.read_text()
    async with kubernetes_client(KubernetesSettings(kubeconfig=str(path))) as kubernetes:
        await kubernetes.request("GET", PATH, ACCESS)
        assert path.read_text() == before, "it is a person's file"
        api.token = "second"
        kubeconfig(tmp_path, api.url, "second")
        await kubernetes.request("GET", PATH, ACCESS)
        api.token = "third"
        with pytest.raises(KubernetesUnavailable, match="credentials are refused"):
            await kubernetes.request("GET", PATH, ACCESS)


async def test_as_the_service_account_of_a_pod(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("from-the-pod")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(certificate))
    async with over_tls(certificate) as url:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", url.rpartition(":")[2])
        assert await names(KubernetesSettings(kubernetes_in_cluster=True)) == []
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(StartError, match="KUBERNETES_IN_CLUSTER"):
        await names(KubernetesSettings(kubernetes_in_cluster=True))


async def test_certificates_are_checked_unless_told_otherwise(certificate: Path, tmp_path: Path) -> None:
    async with over_tls(certificate, token="sesame") as url:

        def settings(**options: Any) -> KubernetesSettings:
            return KubernetesSettings(kubernetes_endpoint=url, kubernetes_api_key="sesame", **options)

        with pytest.raises(KubernetesUnavailable, match="certificate is not trusted") as caught:
            await names(settings())
        assert caught.value.look_at == "KUBERNETES_CA_FILE and KUBERNETES_TLS_VERIFY"
        assert await names(settings(kubernetes_ca_file=str(certificate))) == []
        assert await names(settings(kubernetes_tls_verify=False)) == []
        path = kubeconfig(tmp_path, url, "sesame", **{"certificate-authority": str(certificate)})
        assert await names(KubernetesSettings(kubeconfig=str(path))) == []


async def test_what_cannot_be_a_connection(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="KUBECONFIG: there is no file"):
        await names(KubernetesSettings(kubeconfig=str(tmp_path / "none")))
    broken = tmp_path / "broken"
    broken.write_text("users: [{user: {token: sesame}}]\n")
    with pytest.raises(StartError, match="KUBECONFIG") as caught:
        await names(KubernetesSettings(kubeconfig=str(broken)))
    assert "sesame" not in str(caught.value)
    with pytest.raises(StartError, match="KUBERNETES_CA_FILE"):
        await names(
            KubernetesSettings(kubernetes_endpoint="https://127.0.0.1:9", kubernetes_ca_file=str(broken))
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"kubeconfig": "/a", "kubernetes_endpoint": "https://b"},
        {"kubernetes_endpoint": "https://b", "kubernetes_in_cluster": True},
        {"kubernetes_api_key": "sesame"},
        {"kubernetes_endpoint": "ftp://b"},
        {"kubernetes_endpoint": "https://me:sesame@b"},
        {"kubernetes_namespaces": "spark, Not_One"},
        {"kubernetes_tls_verify": False, "kubernetes_ca_file": "/ca.pem"},
    ],
    ids=str,
)
def test_settings_that_contradict_each_other(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        KubernetesSettings(**settings)
    assert all("sesame" not in error["msg"] for error in caught.value.errors())


def test_settings_that_leave_something_out() -> None:
    assert not KubernetesSettings().is_configured
    settings = KubernetesSettings(
        kubernetes_endpoint="10.0.0.1:6443/", kubernetes_namespace="spark", kubernetes_namespaces="b, spark,c"
    )
    assert settings.kubernetes_endpoint == "https://10.0.0.1:6443"
    assert settings.namespaces == ("spark", "b", "c")


# --- repeating ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "fault", "requests"),
    [
        ("GET", {"status": 500, "times": 2}, 3),
        ("GET", {"status": 429, "retry_after": 0}, 2),
        ("DELETE", {"status": 503}, 2),
        ("POST", {"status": 429}, 2),
        ("POST", {"status": 409, "message": MODIFIED}, 2),
        ("POST", {"status": 500}, 1),
        ("POST", {"drop": "after"}, 1),
        ("GET", {"status": 429, "retry_after": 3600}, 1),
    ],
    ids=str,
)
async def test_what_is_repeated(
    api: KubernetesApi, method: str, fault: dict[str, Any], requests: int
) -> None:
    api.fail(**fault)
    path = f"{PATH}/one" if method == "DELETE" else PATH
    async with connected(api.url) as kubernetes:
        outcome = kubernetes.request(method, path, ACCESS, body={"metadata": {"name": "Not valid"}})
        (error,) = await asyncio.gather(outcome, return_exceptions=True)
    assert len(api.requests) == requests
    if requests == 1:
        assert isinstance(error, KubernetesUnavailable)
        assert error.outcome_unknown == (method == "POST")
    else:  # the answer when nothing is in its way any more
        assert not isinstance(error, KubernetesUnavailable)


async def test_a_slow_answer_is_not_waited_for(api: KubernetesApi) -> None:
    async with connected(api.url, kubernetes_timeout_seconds=0.2) as kubernetes:
        api.fail(delay_seconds=5.0, times=20)
        with pytest.raises(KubernetesUnavailable, match=r"does not answer within 0\.2 s") as caught:
            await kubernetes.request("POST", PATH, ACCESS, body={})
        assert caught.value.outcome_unknown
        with pytest.raises(KubernetesUnavailable) as caught:
            await kubernetes.request("GET", PATH, ACCESS)
        assert not caught.value.outcome_unknown


async def test_what_never_arrived_has_a_known_outcome() -> None:
    async with connected("http://127.0.0.1:9") as kubernetes:
        with pytest.raises(KubernetesUnavailable, match=r"127\.0\.0\.1:9 cannot be reached") as caught:
            await kubernetes.request("POST", PATH, ACCESS, body={})
    assert not caught.value.outcome_unknown


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """The address of something that answers all that is read so."""
    application = web.Application()
    application.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_something_else_that_speaks_http() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>hello</html>")

    async with answering(page) as url, connected(url) as kubernetes:
        with pytest.raises(KubernetesUnavailable, match="not a Kubernetes API server"):
            (await kubernetes.request("GET", PATH, ACCESS)).json()


async def test_a_stream_that_falls_silent(api: KubernetesApi) -> None:
    async with connected(api.url) as kubernetes:
        lines = kubernetes.lines(PATH, ACCESS, {"watch": "true"}, silence_seconds=0.2)
        with pytest.raises(KubernetesUnavailable, match="does not answer"):
            async with asyncio.timeout(20):
                _ = [line async for line in lines]


# --- refusals -------------------------------------------------------------------------------------


def status(message: str, reason: str = "", **details: Any) -> str:
    return json.dumps({"kind": "Status", "message": message, "reason": reason, "details": details})


QUOTA = 'pods "a" is forbidden: exceeded quota: small, requested: cpu=2, used: cpu=9, limited: cpu=10'
RBAC = (
    'sparkapplications.sparkoperator.k8s.io is forbidden: User "system:serviceaccount:x:y" cannot list'
    ' resource "sparkapplications" in API group "sparkoperator.k8s.io" in the namespace "default"'
)


POLICY = (
    "sparkapplications.sparkoperator.k8s.io \"x\" is forbidden: ValidatingAdmissionPolicy 'teams' with"
    " binding 'teams' denied request: User \"ada\" cannot create resource of other teams"
)
ENDING_NAMESPACE = (
    'sparkapplications.sparkoperator.k8s.io "x" is forbidden: unable to create new content in namespace'
    " default because it is being terminated"
)
ENDING_KIND = (
    'sparkapplications.sparkoperator.k8s.io "x" is forbidden: create not allowed while custom resource'
    " definition is terminating"
)


POLICY_OF_ENDING = (
    "sparkapplications.sparkoperator.k8s.io \"x\" is forbidden: ValidatingAdmissionPolicy 'tickets' denied"
    " request: the project of the ticket is being terminated"
)
DENIAL = ' admission webhook "teams" denied the request: no team is named '
LARGE = "rpc error: code = ResourceExhausted desc = trying to send message larger than max (3 vs. 2)"


@pytest.mark.parametrize(
    ("code", "body", "kind", "said"),
    [
        (403, status(RBAC, "Forbidden"), KubernetesForbidden, "(system:serviceaccount:x:y) may not list"),
        (403, "<html>no</html>", KubernetesForbidden, "may not list sparkapplications"),
        (403, status(QUOTA, "Forbidden"), KubernetesRefused, "exceeded quota"),
        (404, "404 page not found", ResourceKindMissing, "install the Kubeflow spark-operator"),
        (404, status("no", "NotFound", name="a", kind="namespaces"), KubernetesRefused, "no namespace a"),
        (404, status("no", "NotFound", name="a", kind="sparkapplications"), NotFound, "There is no"),
        (409, status("already exists", "AlreadyExists"), KubernetesConflict, "already exists"),
        (410, status("too old", "Expired"), ResourceVersionExpired, "too old"),
        (403, status(POLICY, "Forbidden"), KubernetesRefused, "with binding 'teams' denied"),
        (403, status(ENDING_NAMESPACE, "Forbidden"), KubernetesUnavailable, "because it is being terminated"),
        (403, status(ENDING_KIND, "Forbidden"), KubernetesUnavailable, "resource definition is terminating"),
        (405, status(ENDING_KIND, "MethodNotAllowed"), KubernetesUnavailable, "is terminating"),
        (403, status(POLICY_OF_ENDING, "Forbidden"), KubernetesRefused, "tickets"),
        (403, status("x" * 5000 + DENIAL + "y" * 5000, "Forbidden"), KubernetesRefused, DENIAL),
        (500, status(LARGE), KubernetesRefused, "larger than max"),
        (429, "", KubernetesUnavailable, "429"),
        (429, "Too many requests, please try again later.\n", KubernetesUnavailable, "try again later."),
        (500, status("etcd is away"), KubernetesUnavailable, "etcd is away"),
    ],
)
def test_refusals_in_our_words(code: int, body: str, kind: type[Exception], said: str) -> None:
    error = error_of(code, body, None, ACCESS, outcome_unknown=True)
    assert type(error) is kind or isinstance(error, kind)
    assert said in str(error)
    if isinstance(error, KubernetesUnavailable):
        assert error.outcome_unknown == (code == 500)
        assert type(error) is KubernetesUnavailable or "sparkapplications" in str(error)


@pytest.mark.parametrize("joined", [False, True], ids=["a header each", "joined by a proxy"])
async def test_each_warning_is_told(api: KubernetesApi, joined: bool) -> None:
    texts = ['no "team", or \\ is named', "in two, parts"]
    quoted = [f'299 - "{each}"' for each in (r"no \"team\", or \\ is named", "in two, parts")]
    quoted[1] += ' "Sat, 25 Aug 2012 23:34:45 GMT"'

    async def answer(_: web.Request) -> web.Response:
        told = web.json_response({})
        for value in [", ".join(quoted)] if joined else quoted:
            told.headers.add("Warning", value)
        return told

    async with answering(answer) as url, connected(url) as kubernetes:
        told = await kubernetes.request("GET", PATH, ACCESS)
    assert list(told.warnings) == texts


def test_causes_are_kept() -> None:
    causes = [{"field": "spec.type", "reason": "FieldValueRequired", "message": "Required value"}]
    error = error_of(422, status("invalid", "Invalid", causes=causes), None, ACCESS)
    assert error.status == 422
    assert error.members["errors"] == [{"field": "spec.type", "message": "Required value"}]
