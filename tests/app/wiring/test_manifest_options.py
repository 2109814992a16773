"""From settings to what every manifest has in common."""

from pathlib import Path

import pytest

from app.wiring.manifest_options import manifest_options
from app.wiring.platform import chosen_platform
from common.errors import StartError
from common.settings.group import PROJECT_ROOT
from common.settings.settings import Settings
from submission.kubernetes.kubeflow import KUBERNETES
from submission.local.runner import LOCAL
from submission.manifest.options import ManifestOptions, SecretKey


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBACK_TOKEN", "hunter2")


def options_of(settings: Settings) -> ManifestOptions:
    return manifest_options(settings, chosen_platform(settings).platform)


def test_on_this_machine() -> None:
    options = options_of(Settings())
    assert (options.platform, options.namespace) == (LOCAL, "default")
    assert Path(options.listener_jar).parts[-2:] == ("build", "enel-listener.jar")
    assert options.examples["MPC"] == str(PROJECT_ROOT / "examples" / "mpc.py")
    assert all(Path(example).is_file() for example in options.examples.values())


def test_on_kubernetes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBERNETES_ENDPOINT", "https://10.0.0.1:6443")
    with pytest.raises(StartError, match="CALLBACK_TOKEN_SECRET"):
        options_of(Settings())

    template = tmp_path / "template.yaml"
    template.write_text("spec: {image: 'registry/spark:1'}\n")
    for name, value in (
        ("CALLBACK_TOKEN_SECRET", "enel-callback/token"),
        ("KUBERNETES_NAMESPACE", "spark"),
        ("KUBERNETES_NAMESPACES", "nightly, adhoc"),
        ("SPARK_APPLICATION_TEMPLATE", str(template)),
        ("SUBMISSION_ALLOWED_IMAGES", "registry/, other/spark"),
        ("SUBMISSION_MAX_EXECUTOR_MEMORY", "16g"),
    ):
        monkeypatch.setenv(name, value)
    options = options_of(Settings())
    assert options.callback_token_secret == SecretKey("enel-callback", "token")
    assert options.platform == KUBERNETES
    assert (options.namespace, options.namespaces) == ("spark", ("nightly", "adhoc"))
    assert options.listener_jar == "local:///opt/spark/jars/enel-listener.jar"
    assert options.examples["KMeans"] == "local:///opt/enel-service/examples/kmeans.py"
    assert options.template["spec"] == {"image": "registry/spark:1"}
    assert options.limits.images == ("registry/", "other/spark")
    assert options.limits.max_executor_memory == "16g"
    assert "hunter2" not in repr(options)

    monkeypatch.setenv("LISTENER_JAR", "https://repository/enel.jar")
    monkeypatch.setenv("EXAMPLES_LOCATION", "s3a://bucket/examples/")
    options = options_of(Settings())
    assert options.listener_jar == "https://repository/enel.jar"
    assert options.examples["MPC"] == "s3a://bucket/examples/mpc.py"

    monkeypatch.setenv("SPARK_APPLICATION_TEMPLATE", str(tmp_path / "none.yaml"))
    with pytest.raises(StartError, match="SPARK_APPLICATION_TEMPLATE"):
        options_of(Settings())


def test_a_template_that_the_operator_has_nothing_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(
        "spec: {batchScheduler: volcano, driver: {configMaps: []}, executor: {image: 'a:1'}}\n"
    )
    for name, value in (
        ("CALLBACK_TOKEN_SECRET", "enel-callback/token"),
        ("KUBERNETES_ENDPOINT", "https://10.0.0.1:6443"),
        ("SPARK_APPLICATION_TEMPLATE", str(template)),
    ):
        monkeypatch.setenv(name, value)
    assert options_of(Settings()).platform == KUBERNETES
    monkeypatch.setenv("SPARK_OPERATOR", "APACHE")
    with pytest.raises(StartError, match=r"batchScheduler: .*driver.configMaps: use volumes") as caught:
        options_of(Settings())
    assert "executor.image" not in str(caught.value)


def test_a_platform_is_chosen_by_name_or_by_what_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(name: str = "") -> str:
        monkeypatch.setenv("SUBMISSION_PLATFORM", name)
        return chosen_platform(Settings()).platform.name

    assert chosen() == chosen("local") == "local"
    with pytest.raises(StartError, match="SUBMISSION_PLATFORM: no setting says how to reach kubernetes"):
        chosen("kubernetes")
    with pytest.raises(
        StartError, match="SUBMISSION_PLATFORM: 'mesos' is none of kubernetes, kubernetes-apache, local"
    ):
        chosen("mesos")
    monkeypatch.setenv("KUBERNETES_ENDPOINT", "https://10.0.0.1:6443")
    assert chosen() == chosen("kubernetes") == "kubernetes"
    assert chosen("local") == "local"
    monkeypatch.setenv("SPARK_OPERATOR", "Apache")
    assert chosen() == chosen("kubernetes-apache") == "kubernetes-apache"
    assert chosen("local") == "local"
    with pytest.raises(StartError, match="SUBMISSION_PLATFORM: SPARK_OPERATOR says kubernetes-apache"):
        chosen("kubernetes")


@pytest.mark.parametrize(
    ("endpoint", "template", "said"),
    [
        (
            "https://10.0.0.1:6443",
            "{monitoring: {prometheus: {port: 8090}}}",
            "spec.monitoring.prometheus.jmx",
        ),
        (
            "https://10.0.0.1:6443",
            "{driver: {volumeMounts: [{name: data, mountPath: /data}]}}",
            "spec.driver.volumeMounts: there is no volume 'data'",
        ),
        (
            "https://10.0.0.1:6443",
            "{nodeSelector: {disk: ssd}, executor: {nodeSelector: {disk: hdd}}}",
            "exclude each other",
        ),
        ("", "{volumes: [{name: data, emptyDir: {}}]}", "the local Spark has none of what Kubernetes"),
        (
            "",
            "{driver: {env: [{name: KEY, valueFrom: {secretKeyRef: {name: a, key: b}}}]}}",
            r"valueFrom \(KEY\)",
        ),
    ],
)
def test_a_template_that_no_submission_survives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, endpoint: str, template: str, said: str
) -> None:
    file = tmp_path / "template.yaml"
    file.write_text(f"spec: {template}")
    monkeypatch.setenv("KUBERNETES_ENDPOINT", endpoint)
    monkeypatch.setenv("CALLBACK_TOKEN_SECRET", "enel-callback/token")
    monkeypatch.setenv("SPARK_APPLICATION_TEMPLATE", str(file))
    with pytest.raises(StartError, match=f"SPARK_APPLICATION_TEMPLATE: .*{said}"):
        options_of(Settings())
