"""What a request may have run where access is by tokens: what the service's operator has allowed."""

from typing import Any

import pytest
from pydantic import SecretStr

from app.wiring.manifest_options import manifest_options
from common.errors import InvalidRequest
from common.settings.settings import Settings
from submission.kubernetes.kubeflow import KUBERNETES
from submission.local.runner import LOCAL
from submission.manifest.build import Manifest, build_manifest
from submission.manifest.options import ManifestOptions
from submission.manifest.platform import Platform
from tests.support.manifests import request_specs


def options(platform: Platform, *, by_tokens: bool = True, **settings: Any) -> ManifestOptions:
    given = Settings()
    given.server.host = "127.0.0.1"
    given.submission.listener_jar = "local:///enel-listener.jar"
    if by_tokens:
        given.access.admin_token = SecretStr("x" * 16)
    for name, value in settings.items():
        setattr(given.submission, f"submission_allowed_{name}", value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.wiring.manifest_options._must_exist", lambda *_: None)
        return manifest_options(given, platform)


def build(values: dict[str, Any], given: ManifestOptions) -> Manifest:
    return build_manifest(request_specs(spark_template_values=values), "1", 2, given)


CODE = {
    "main_application_file": "/home/somebody/program.py",
    "deps": {"jars": ["/x.jar"]},
    "spark_conf": {"spark.driver.extraJavaOptions": "-javaagent:/x.jar"},
    "hadoop_conf": {"hadoop.security.credential.provider.path": "jceks://file/x"},
    "log_dir": "/etc",
    "driver": {"env": [{"name": "LD_PRELOAD", "value": "/x.so"}]},
    "executor": {"env": [{"name": "PYTHONSTARTUP", "value": "/x.py"}]},
}
"""One way each to have Spark on this machine run or touch what nobody has allowed."""


@pytest.mark.parametrize("key", list(CODE))
def test_on_this_machine_only_what_is_allowed_runs(key: str) -> None:
    with pytest.raises(InvalidRequest, match=r"SUBMISSION_ALLOWED_(MAIN_FILES|SPARK_CONF)"):
        build({key: CODE[key]}, options(LOCAL))
    build({key: CODE[key]}, options(LOCAL, by_tokens=False))
    build({key: CODE[key]}, options(KUBERNETES))
    build({key: CODE[key]}, options(LOCAL, main_files=("*",), spark_conf=("*",)))


@pytest.mark.parametrize(
    "dependency", ["jars", "files", "py_files", "archives", "packages", "repositories", "exclude_packages"]
)
def test_every_dependency_counts(dependency: str) -> None:
    values = {"deps": {dependency: ["https://repository.example.org/a"]}}
    with pytest.raises(InvalidRequest, match="SUBMISSION_ALLOWED_SPARK_CONF"):
        build(values, options(LOCAL))


@pytest.mark.parametrize(
    "key",
    [
        "spark.driver.extraClassPath",
        "spark.executor.extraJavaOptions",
        "spark.executor.extraLibraryPath",
        "spark.executorEnv.PATH",
        "spark.extraListeners",
        "spark.jars.packages",
        "spark.local.dir",
        "spark.pyspark.driver.python",
        "spark.serializer",
        "spark.sql.adaptive.customCostEvaluatorClass",
        "spark.sql.extensions",
        "spark.sql.warehouse.dir",
        "spark.submit.pyFiles",
        "spark.yarn.dist.files",
    ],
)
def test_properties_that_lead_to_other_code_or_files(key: str) -> None:
    with pytest.raises(InvalidRequest, match=f"property {key} is none"):
        build({"spark_conf": {key: "x"}}, options(LOCAL))


def test_how_a_program_computes_is_its_own_affair() -> None:
    conf = {"spark.sql.shuffle.partitions": 8, "spark.sql.adaptive.coalescePartitions.enabled": False}
    assert build({"spark_conf": conf}, options(LOCAL))["spec"]["sparkConf"].keys() >= conf.keys()


@pytest.mark.parametrize(
    ("location", "is_allowed"),
    [
        ("/opt/jobs/nightly/a.py", True),
        ("file:///opt/jobs/a.py", True),
        ("hdfs://namenode/jobs/a.jar", True),
        ("/opt/jobs/../../etc/a.py", False),
        ("local:///opt/jobs/%2e%2e/a.py", False),
        ("/opt/jobsters/a.py", False),
        ("https://opt/jobs/a.py", False),
        ("hdfs://namenode/other/a.jar", False),
    ],
)
def test_programs_by_patterns(location: str, is_allowed: bool) -> None:
    given = options(LOCAL, main_files=("/opt/jobs/*", "hdfs://namenode/jobs/*"))
    values = {"main_application_file": location, "main_class": "org.example.Main"}
    if is_allowed:
        build(values, given)
        return
    with pytest.raises(InvalidRequest, match=r"allows the bundled examples, /opt/jobs/\*, hdfs"):
        build(values, given)


def test_bundled_examples_are_always_allowed() -> None:
    given = options(LOCAL)
    named = build({"main_application_file": given.examples["MPC"]}, given)
    assert named["spec"]["mainApplicationFile"].endswith("/mpc.py")
    assert build({}, given)["spec"]["mainApplicationFile"].endswith("/kmeans.py")


@pytest.mark.parametrize(
    ("values", "setting", "allowed"),
    [
        ({"image": "registry.example.org/x:1"}, "images", "registry.example.org/"),
        ({"rbac_service_account": "admin"}, "service_accounts", "admin"),
        ({"image_pull_secrets": ["db"]}, "secrets", "d*"),
    ],
)
def test_on_kubernetes_names_are_closed_by_default(
    values: dict[str, Any], setting: str, allowed: str
) -> None:
    with pytest.raises(InvalidRequest, match=rf"allows none \(SUBMISSION_ALLOWED_{setting.upper()}\)"):
        build(values, options(KUBERNETES))
    build(values, options(KUBERNETES, by_tokens=False))
    for names in ((allowed,), ("*",)):
        build(values, options(KUBERNETES, **{setting: names}))


def test_the_listener_of_an_application_refers_to_its_own_secret() -> None:
    manifest = build({}, options(KUBERNETES))
    reference = manifest["spec"]["driver"]["envSecretKeyRefs"]["ENEL_CALLBACK_TOKEN"]
    assert reference == {"name": f"{manifest['metadata']['name']}-listener", "key": "token"}
    assert "envSecretKeyRefs" not in build({}, options(LOCAL))["spec"]["driver"]
    assert "envSecretKeyRefs" not in build({}, options(KUBERNETES, by_tokens=False))["spec"]["driver"]
