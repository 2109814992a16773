"""What a request may say of its SparkApplication, and what the template of defaults may."""

import copy
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from common.errors import InvalidRequest, StartError
from submission.manifest.build import Manifest, build_manifest
from submission.manifest.limits import ManifestLimits
from submission.manifest.platform import Platform
from submission.manifest.template import check_template, load_template
from submission.manifest.template_values import TemplateValues
from tests.support.doubles import rescales
from tests.support.golden import EXECUTION_ID, KUBERNETES, LOCAL, WITH_TEMPLATE
from tests.support.manifests import request_specs

LIMITED = dataclasses.replace(KUBERNETES, limits=WITH_TEMPLATE.limits)


def build(values: dict[str, Any], options: Any = LIMITED, **global_specs: Any) -> Manifest:
    specs = request_specs(spark_template_values=values, **global_specs)
    return build_manifest(specs, EXECUTION_ID, 2, options, rescales=rescales(specs))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"image": "registry.example.org/sparkling/x"}, "image is .*SUBMISSION_ALLOWED_IMAGES"),
        ({"rbac_service_account": "admin"}, "driver is admin.*SUBMISSION_ALLOWED_SERVICE_ACCOUNTS"),
        ({"executor": {"service_account": "admin"}}, "executor is admin.*SERVICE_ACCOUNTS"),
        ({"namespace": "kube-system"}, "kube-system, but this service allows spark, spark-nightly"),
        (
            {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
            "v is hostPath.*SUBMISSION_ALLOWED_VOLUMES",
        ),
        ({"volumes": [{"name": "v", "secret": {"secretName": "db"}}]}, "is db,.*SUBMISSION_ALLOWED_SECRETS"),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "db"}}]}}]},
            "is db,.*SUBMISSION_ALLOWED_SECRETS",
        ),
        ({"driver": {"envFrom": [{"secretRef": {"name": "db"}}]}}, "is db,.*SUBMISSION_ALLOWED_SECRETS"),
        (
            {
                "driver": {
                    "env": [{"name": "A", "value_from": {"secret_key_ref": {"name": "db", "key": "k"}}}]
                }
            },
            "is db,.*SUBMISSION_ALLOWED_SECRETS",
        ),
        ({"image_pull_secrets": ["db"]}, "is db,.*SUBMISSION_ALLOWED_SECRETS"),
        ({"executor": {"core_limit": "8500m"}}, "executor.coreLimit is 8500m.*SUBMISSION_MAX_EXECUTOR_CORES"),
        ({"driver": {"coreRequest": "2.5"}}, "driver.coreRequest is 2.5.*SUBMISSION_MAX_DRIVER_CORES"),
        (
            {"spark_conf": {"spark.executor.pyspark.memory": "16g"}},
            "memory with all overheads is 17280m.*SUBMISSION_MAX_EXECUTOR_MEMORY",
        ),
        (
            {"spark_conf": {"spark.memory.offHeap.enabled": True, "spark.memory.offHeap.size": "16g"}},
            "SUBMISSION_MAX_EXECUTOR_MEMORY",
        ),
    ],
)
def test_limits_hold(values: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        build(values)


@pytest.mark.parametrize("role", ["executor", "driver"])
def test_the_least_overhead_counts_where_none_is_said(role: str) -> None:
    conf = {f"spark.{role}.minMemoryOverhead": "200g"}
    specs = request_specs(spark_template_values={"spark_conf": conf})
    part = specs.worker_specs if role == "executor" else specs.master_specs
    part.memory_overhead = None
    with pytest.raises(
        InvalidRequest, match=f"memory with all overheads.*SUBMISSION_MAX_{role.upper()}_MEMORY"
    ):
        build_manifest(specs, EXECUTION_ID, 2, LIMITED, rescales=rescales(specs))
    part.memory_overhead = "512m"
    build_manifest(specs, EXECUTION_ID, 2, LIMITED, rescales=rescales(specs))


def test_programs_of_the_jvm_have_a_smaller_overhead() -> None:
    specs = request_specs(
        spark_template_values={"main_class": "org.example.Main", "main_application_file": "local:///a.jar"}
    )
    python = request_specs(spark_template_values={"main_application_file": "local:///a.py"})
    limits = ManifestLimits(max_executor_memory="12g")
    options = dataclasses.replace(KUBERNETES, limits=limits)
    for each in (specs, python):
        each.worker_specs.memory, each.worker_specs.memory_overhead = "10g", None
    build_manifest(specs, EXECUTION_ID, 2, options, rescales=rescales(specs))
    with pytest.raises(InvalidRequest, match="memory with all overheads is 14336m"):
        build_manifest(python, EXECUTION_ID, 2, options, rescales=rescales(python))


def test_the_secret_of_a_volume_that_names_it_itself() -> None:
    limits = dataclasses.replace(LIMITED.limits, volumes=("azureFile",))
    volume = {"name": "v", "azureFile": {"secretName": "db", "shareName": "s"}}
    with pytest.raises(InvalidRequest, match=r"is db,.*SUBMISSION_ALLOWED_SECRETS"):
        build({"volumes": [volume]}, dataclasses.replace(LIMITED, limits=limits))


def test_limits_of_sizes() -> None:
    with pytest.raises(
        InvalidRequest, match=r"max_scale_out is 37, .* at most 36 \(SUBMISSION_MAX_EXECUTORS\)"
    ):
        build({}, max_scale_out=37)
    specs = request_specs()
    for part, name, setting in (
        ("master_specs", "driver", "SUBMISSION_MAX_DRIVER"),
        ("worker_specs", "executor", "SUBMISSION_MAX_EXECUTOR"),
    ):
        for change, told in (({"cores": 9}, f"{setting}_CORES"), ({"memory": "17g"}, f"{setting}_MEMORY")):
            larger = specs.model_copy(update={part: getattr(specs, part).model_copy(update=change)})
            with pytest.raises(InvalidRequest, match=f"{part}.*{told}"):
                build_manifest(larger, EXECUTION_ID, 2, LIMITED)
            assert build_manifest(larger, EXECUTION_ID, 2, KUBERNETES)["spec"][name]


def test_what_is_within_the_limits_is_rendered() -> None:
    spec = build(
        {
            "image": "registry.example.org/spark/x:1",
            "volumes": [{"name": "keys", "secret": {"secretName": "spark-keys"}}],
            "driver": {"volume_mounts": [{"name": "keys", "mount_path": "/keys"}]},
        }
    )["spec"]
    assert spec["volumes"][0]["secret"] == {"secretName": "spark-keys"}
    limits = ManifestLimits(images=("spark", "other/"))
    assert limits.refusals(request_specs(), TemplateValues(spec={"image": "spark:4"})) == []
    assert limits.refusals(request_specs(), TemplateValues(spec={"image": "sparkling"})) != []


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"rescaling_mode": "dynamic"}, "rescaling_mode must be 'fixed' or 'muted'"),
        ({"driver": "large"}, "driver"),
        ({"driver": {"cores": 4}}, "use master_specs"),
        ({"executor": {"instances": 4}}, "use master_specs"),
        ({"driver": {"hostNetwork": True}}, "only the service's template"),
        ({"executor": {"security_context": {"privileged": True}}}, "only the service's template"),
        ({"driver": {"env": [{"name": "ENEL_CALLBACK_TOKEN", "value": "x"}]}}, "belong to the service"),
        ({"driver": {"env": [{"name": "A"}]}}, "exactly one of value, valueFrom"),
        ({"driver": {"env": [{"name": "A B", "value": ""}]}}, "driver.env.0.name"),
        ({"driver": {"volume_mounts": [{"name": "v", "mount_path": "/v"}]}}, "there is no volume 'v'"),
        ({"volumes": [{"name": "v"}]}, "exactly one kind"),
        ({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {}}]}, "exactly one kind"),
        ({"labels": {"a b": "x"}}, "labels.a b"),
        ({"time_to_live_seconds": 0}, "time_to_live_seconds"),
        ({"restart_policy": {"type": "Sometimes"}}, "restart_policy.type"),
        ({"monitoring": {"prometheus": {"port": 8090}}}, "jmxExporterJar is missing"),
        ({"node_selector": {"a": "b"}, "driver": {"node_selector": {"a": "b"}}}, "exclude each other"),
        ({"spark_conf": {"spark.kubernetes.driver.podTemplateFile": "/x"}}, "podTemplateFile cannot be set"),
        ({"spark_conf": {"spark.kubernetes.executor.request.cores": "64"}}, "request.cores cannot be set"),
        (
            {"spark_conf": {"spark.kubernetes.driver.secrets.db": "/etc/db"}},
            re.escape("spark.kubernetes.driver.secrets.db cannot be set"),
        ),
        ({"spark_conf": {"spark.kubernetes.driverEnv.ENEL_CALLBACK_TOKEN": "x"}}, "cannot be set"),
    ],
)
def test_what_a_request_may_not_say(values: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        build(values, KUBERNETES)


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        build({"driver": {"env": [{"name": "PASSWORD", "value": {"hunter2": "hunter2"}}]}})
    assert "hunter2" not in str(refusal.value)


def test_unknown_keys_are_ignored() -> None:
    spec = build({"driver": {"colour": "red", "labels": {"a": "b"}}, "colour": "red"})["spec"]
    assert "colour" not in spec["driver"]
    assert spec["driver"]["labels"]["a"] == "b"


def test_modes_that_a_platform_has() -> None:
    assert "dynamicAllocation" not in build({}, KUBERNETES)["spec"]
    assert build({}, LOCAL)["spec"]["dynamicAllocation"]["enabled"] is True
    assert build({"rescaling_mode": "muted"}, KUBERNETES)["spec"]["dynamicAllocation"]["enabled"] is True
    with pytest.raises(InvalidRequest, match="'fixed' is for Kubernetes"):
        build({"rescaling_mode": "fixed"}, LOCAL)
    assert (
        build({"rescaling_mode": "fixed"}, LOCAL, solution_name="static")["spec"]["executor"]["instances"]
        == 2
    )


def test_the_plugin_is_named_once_or_not_at_all() -> None:
    def jars(jar: str, platform: Platform, **values: Any) -> list[str]:
        options = dataclasses.replace(KUBERNETES, listener_jar=jar, platform=platform)
        return build(values, options)["spec"].get("deps", {}).get("jars", [])  # type: ignore[no-any-return]

    built_in, elsewhere = "local:///opt/spark/jars/enel-listener.jar", "local:///opt/enel/enel-listener.jar"
    assert jars(built_in, KUBERNETES.platform) == []
    assert jars(built_in, KUBERNETES.platform, deps={"jars": [built_in, "hdfs:///a.jar"]}) == [
        "hdfs:///a.jar"
    ]
    assert jars(elsewhere, KUBERNETES.platform, deps={"jars": [elsewhere]}) == [elsewhere]
    assert jars(built_in, LOCAL.platform) == [built_in]


def test_the_token_is_only_referred_to() -> None:
    manifest = build({}, KUBERNETES)
    reference = {"ENEL_CALLBACK_TOKEN": {"name": "enel-callback", "key": "token"}}
    assert manifest["spec"]["driver"]["envSecretKeyRefs"] == reference
    assert "envSecretKeyRefs" not in manifest["spec"]["executor"]
    assert "ENEL_CALLBACK_TOKEN" not in str(manifest["spec"]["sparkConf"])
    without = dataclasses.replace(KUBERNETES, callback_token_secret=None)
    assert "envSecretKeyRefs" not in build({}, without)["spec"]["driver"]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([], "must hold one SparkApplication"),
        ({"kind": "Pod"}, "kind is not known here"),
        ({"spec": {"mainApplicationFile": "local:///a.py"}}, "the service sets it"),
        ({"spec": {"imagePulPolicy": "Always"}}, "spec.imagePulPolicy is not known"),
        ({"spec": {"imagePullPolicy": "Sometimes"}}, "spec.imagePullPolicy"),
        ({"spec": {"driver": {"memory": "2g"}}}, "use master_specs"),
        ({"spec": {"driver": {"tolerance": []}}}, "tolerance is not known"),
        ({"spec": {"monitoring": {"exposeDrivers": True}}}, "exposeDrivers is not known"),
        ({"spec": {"sparkConf": {"spark.app.id": "x"}}}, "spark.app.id cannot be set"),
        ({"spec": {"volumes": [{"name": "v"}]}}, "exactly one kind"),
        ({"metadata": {"name": "x"}}, "name is not known"),
    ],
)
def test_a_template_that_is_of_no_use_stops_the_start(document: Any, told: str) -> None:
    with pytest.raises(StartError, match=f"SPARK_APPLICATION_TEMPLATE: .*{told}"):
        check_template(document)


def test_a_template_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read"):
        load_template(str(tmp_path / "none.yaml"))
    broken = tmp_path / "broken.yaml"
    broken.write_text("spec: {image: x\n")
    with pytest.raises(StartError, match="is not YAML"):
        load_template(str(broken))


def test_a_template_may_say_more_than_a_request() -> None:
    template = check_template(
        {
            "spec": {
                "volumes": [{"name": "v", "hostPath": {"path": "/data"}}],
                "sparkConf": {"spark.kubernetes.driver.podTemplateFile": "/x"},
                "driver": {"hostNetwork": True, "labels": {"a": "b"}},
            }
        }
    )
    before = copy.deepcopy(template)
    manifest = build({"driver": {"labels": {"c": "d"}}}, dataclasses.replace(LIMITED, template=template))
    assert manifest["spec"]["driver"]["hostNetwork"] is True
    assert manifest["spec"]["driver"]["labels"].items() >= {"a": "b", "c": "d"}.items()
    manifest["spec"]["volumes"].clear()
    assert template == before
