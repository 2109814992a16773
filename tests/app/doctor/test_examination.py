"""`enel doctor` names the fault, and what mends it, for each thing that can be wrong."""

import asyncio
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import pytest

import app.doctor.storage
from app.cli.main import run
from app.doctor.examination import examine
from app.doctor.finding import Finding, Verdict
from benchmarks.support.hdfs_cluster import hdfs_cluster
from benchmarks.support.hdfs_jars import JarsMissing
from benchmarks.support.kubernetes_api import KubernetesApi, kubernetes_api
from common.mongo.document import utc_now
from common.mongo.embedded import embedded_mongod
from common.processes.guarded import free_port
from tests.support.mongodb_users import PASSWORD, mongod_with_users

SPARK = version("pyspark")


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Finding]]:
    """What is found by these settings, by subject; without a service."""
    nobody = f"http://127.0.0.1:{free_port()}"

    def look(*, least_free_bytes: int = 1, url: str = nobody, **settings: str) -> dict[str, Finding]:
        defaults = {"DATA_DIR": str(tmp_path), "LISTENER_JAR": str(plugin(tmp_path, SPARK))}
        for name, value in {**defaults, **settings}.items():
            monkeypatch.setenv(name, value)
        return {each.subject: each for each in examine(url, "", least_free_bytes)}

    return look


Examined = Callable[..., dict[str, Finding]]


def plugin(folder: Path, spark: str | None) -> Path:
    """A jar that says for which Spark it was built."""
    path = folder / "enel-listener.jar"
    with zipfile.ZipFile(path, "w") as jar:
        said = f"Spark-Version: {spark}\r\n" if spark else ""
        jar.writestr("META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\r\n{said}\r\n")
    return path


def is_wrong(finding: Finding, *words: str) -> None:
    assert finding.verdict is Verdict.WRONG, finding
    assert finding.mend, finding
    for word in words:
        assert word in f"{finding.detail} {finding.mend}", finding


def test_with_nothing_configured_nothing_is_wrong(examined: Examined) -> None:
    found = examined()
    assert not [each for each in found.values() if each.verdict is Verdict.WRONG]
    assert found["Java"].verdict is Verdict.OK
    assert SPARK in found["Plugin"].detail
    assert {"MongoDB", "HDFS", "Kafka", "Kubernetes", "Clock", "Disk", "DATA_DIR", "Service"} <= found.keys()


async def test_mongodb_is_down(examined: Examined, tmp_path: Path) -> None:
    async with embedded_mongod(tmp_path / "mongodb") as uri:
        settings = {"MONGODB_ENDPOINT": uri, "MONGODB_TIMEOUT_SECONDS": "2"}
        there = await asyncio.to_thread(examined, **settings)
        assert there["MongoDB"].verdict is there["Clock"].verdict is Verdict.OK
    gone = await asyncio.to_thread(examined, **settings)
    is_wrong(gone["MongoDB"], "MONGODB_ENDPOINT", "cannot be reached", "Start MongoDB")


async def test_a_clock_that_is_wrong(
    examined: Examined, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.doctor.storage, "utc_now", lambda: utc_now() - timedelta(minutes=3))
    found = await asyncio.to_thread(examined, MONGODB_ENDPOINT=mongo_uri)
    is_wrong(found["Clock"], "180 s apart", "time server")


async def test_a_user_of_mongodb_that_may_only_read(examined: Examined, tmp_path: Path) -> None:
    roles = {"reader": "read", "writer": "readWrite"}
    async with mongod_with_users(tmp_path / "mongodb", "enel", roles) as address:
        settings = {"MONGODB_ENDPOINT": address, "MONGODB_DATABASE": "enel", "MONGODB_PASSWORD": PASSWORD}
        found = await asyncio.to_thread(examined, MONGODB_USERNAME="reader", **settings)
        lacking = "createIndex, insert, remove, update"
        is_wrong(found["MongoDB"], "MONGODB_USERNAME", lacking, "give its user the role readWrite")
        found = await asyncio.to_thread(examined, MONGODB_USERNAME="writer", **settings)
        assert found["MongoDB"].verdict is Verdict.OK, found["MongoDB"]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({}, "KAFKA_ENDPOINT: no broker of 127.0.0.1:"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_CA_FILE": "/none.pem"}, "KAFKA_CA_FILE: the file cannot"),
    ],
    ids=["nobody answers", "no file"],
)
def test_kafka_cannot_be_used(examined: Examined, settings: dict[str, str], what: str) -> None:
    is_wrong(examined(KAFKA_ENDPOINT=f"127.0.0.1:{free_port()}", **settings)["Kafka"], what, "KAFKA_ENDPOINT")


def test_kafka_wants_a_user_and_none_is_given(examined: Examined) -> None:
    found = examined(KAFKA_ENDPOINT=f"127.0.0.1:{free_port()}", KAFKA_SECURITY_PROTOCOL="SASL_SSL")
    is_wrong(found["Settings"], "KAFKA_SASL_USERNAME")


@pytest.mark.hdfs
async def test_hdfs_is_down(examined: Examined, tmp_path: Path) -> None:
    try:
        async with hdfs_cluster(tmp_path / "hdfs") as cluster:
            settings = {"HDFS_ENDPOINT": cluster.endpoint, "HDFS_TIMEOUT_SECONDS": "5"}
            found = await asyncio.to_thread(examined, **settings)
            assert found["HDFS"].verdict is Verdict.OK, found["HDFS"]
    except JarsMissing as reason:
        pytest.skip(f"no HDFS: {reason}")
    gone = await asyncio.to_thread(examined, **settings)
    is_wrong(gone["HDFS"], "HDFS_ENDPOINT", "cannot be reached", "Start NameNode")


def test_there_is_no_java(examined: Examined, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    is_wrong(examined()["Java"], "no java on the PATH", "Java 17")


def test_a_java_that_is_too_old(examined: Examined, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    is_wrong(examined()["Java"], "Java 11", "JAVA_HOME")


def test_there_is_no_jar(examined: Examined, tmp_path: Path) -> None:
    is_wrong(examined(LISTENER_JAR=str(tmp_path / "none.jar"))["Plugin"], "there is no", "make listener")


@pytest.mark.parametrize(
    ("spark", "what"), [("3.5.9", f"built for Spark 3.5.9, but Spark is {SPARK}"), (None, "does not say")]
)
def test_a_plugin_for_another_spark(examined: Examined, tmp_path: Path, spark: str | None, what: str) -> None:
    other = plugin(tmp_path, spark).rename(tmp_path / "other.jar")
    is_wrong(examined(LISTENER_JAR=str(other))["Plugin"], what, "make listener")


def test_a_jar_that_is_none(examined: Examined, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jar"
    broken.write_text("no jar")
    is_wrong(examined(LISTENER_JAR=str(broken))["Plugin"], "BadZipFile")


@pytest.fixture
def cluster() -> Iterator[KubernetesApi]:
    with kubernetes_api(token="right") as api:
        yield api


def on(api: KubernetesApi, token: str = "right") -> dict[str, str]:
    return {"KUBERNETES_ENDPOINT": api.url, "KUBERNETES_API_KEY": token, "KUBERNETES_TIMEOUT_SECONDS": "3"}


def test_no_rights_in_the_namespace(examined: Examined, cluster: KubernetesApi) -> None:
    found = examined(**on(cluster))
    assert found["Kubernetes"].verdict is found["Rights"].verdict is Verdict.OK
    assert found["Plugin"].verdict is Verdict.SKIPPED
    cluster.forbidden |= {("create", "sparkapplications"), ("get", "pods/log")}
    is_wrong(
        examined(**on(cluster))["Rights"],
        "create sparkapplications.sparkoperator.k8s.io, get pods/log",
        "namespace default",
        "Role",
    )


def test_rights_of_the_operator_that_is_chosen(examined: Examined) -> None:
    with kubernetes_api(token="right", group="spark.apache.org", version="v1", schema=None) as api:
        found = examined(**on(api), SPARK_OPERATOR="apache")
        assert found["Kubernetes"].verdict is found["Rights"].verdict is Verdict.OK
        is_wrong(
            examined(**on(api), SPARK_OPERATOR="kubeflow")["Kubernetes"],
            "sparkoperator.k8s.io",
            "SPARK_OPERATOR (kubeflow)",
        )
        api.forbidden.add(("create", "sparkapplications"))
        lacking = examined(**on(api), SPARK_OPERATOR="apache")["Rights"]
        is_wrong(lacking, "create sparkapplications.spark.apache.org", "Role")


def test_a_wrong_token_for_kubernetes(examined: Examined, cluster: KubernetesApi) -> None:
    is_wrong(examined(**on(cluster, "wrong"))["Kubernetes"], "KUBERNETES_API_KEY", "refused")


def test_kubernetes_without_the_operator_or_none_at_all(examined: Examined, cluster: KubernetesApi) -> None:
    cluster.has_crd = False
    is_wrong(examined(**on(cluster))["Kubernetes"], "spark-operator")
    nobody = {"KUBERNETES_ENDPOINT": f"http://127.0.0.1:{free_port()}", "KUBERNETES_TIMEOUT_SECONDS": "1"}
    is_wrong(examined(**nobody)["Kubernetes"], "cannot be reached", "KUBERNETES_ENDPOINT")


def test_the_disk_is_full(examined: Examined) -> None:
    is_wrong(examined(least_free_bytes=1 << 60)["Disk"], "are free", "DATA_DIR")


def test_a_folder_that_is_none(examined: Examined, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    is_wrong(examined(DATA_DIR=str(tmp_path / "file" / "data"))["DATA_DIR"], "is no folder")


def test_the_service_is_looked_for_where_it_listens(examined: Examined) -> None:
    port = free_port()
    found = examined(url="", PORT=str(port), HOST="0.0.0.0")
    assert found["Service"].detail.startswith(f"none answers at http://127.0.0.1:{port}")


def test_a_template_that_is_none(examined: Examined, tmp_path: Path) -> None:
    found = examined(SPARK_APPLICATION_TEMPLATE=str(tmp_path / "none.yaml"))
    is_wrong(found["Manifests"], "SPARK_APPLICATION_TEMPLATE", "cannot be read")


def test_a_slip_deep_in_the_template_is_found_by_asking_kubernetes(
    examined: Examined, cluster: KubernetesApi, tmp_path: Path
) -> None:
    if cluster.schema is None:
        pytest.skip("the schema of the SparkApplication is not here")
    assert examined(**on(cluster))["Manifests"].detail == "the API server takes them"
    template = tmp_path / "template.yaml"
    template.write_text("spec: {driver: {securityContext: {runAsUsr: 1000}}}")
    found = examined(**on(cluster), SPARK_APPLICATION_TEMPLATE=str(template))
    is_wrong(found["Manifests"], "runAsUsr", "SPARK_APPLICATION_TEMPLATE")
    assert found["Rights"].verdict is Verdict.OK
    assert not cluster.resources


def test_a_setting_that_is_wrong_is_all_that_is_said(examined: Examined) -> None:
    found = examined(PORT="http")
    assert found.keys() == {"Settings"}
    is_wrong(found["Settings"], "PORT:")


def test_the_command_exits_with_five(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("LISTENER_JAR", str(tmp_path / "none.jar"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    arguments = ["--url", f"http://127.0.0.1:{free_port()}", "doctor", "--least-free-gb", "0"]
    assert run(arguments) == 5
    shown = capsys.readouterr().out
    assert any(line.split()[:2] == ["wrong", "Plugin"] for line in shown.splitlines())
    assert "→ Build it" in shown
    assert run([*arguments, "--json"]) == 5
    findings = json.loads(capsys.readouterr().out)
    assert {each["verdict"] for each in findings} == {"ok", "wrong", "skipped"}
