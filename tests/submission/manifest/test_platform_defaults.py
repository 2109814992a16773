"""What a request says of Spark and its platform: refused at once, joined, followed, or told."""

import dataclasses
import json
from typing import Any

import pytest

from common.errors import InvalidRequest, StartError
from common.wire.specs import ApplicationSpecs
from submission.kubernetes.apache.dialect import KUBERNETES_APACHE
from submission.kubernetes.kubeflow import KUBERNETES
from submission.local.runner import LOCAL as LOCAL_PLATFORM
from submission.manifest.build import PLUGIN_CLASS, Manifest, build_manifest
from submission.manifest.limits import ManifestLimits
from submission.manifest.spark_conf import refused_reason, reserved_reason
from submission.manifest.template import check_template
from submission.manifest.template_values import parse_template_values
from tests.support.doubles import rescales
from tests.support.golden import EXECUTION_ID, LOCAL
from tests.support.manifests import request_specs
from tests.support.samples import specs as body_of


def build(
    values: dict[str, Any], start: int = 2, specs: dict[str, Any] | None = None, **changes: Any
) -> Manifest:
    options = dataclasses.replace(LOCAL, **changes)
    wanted = request_specs(spark_template_values=values, **(specs or {}))
    return build_manifest(wanted, EXECUTION_ID, start, options, rescales=rescales(wanted))


def refusal(values: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        build(values, **changes)
    return str(refused.value)


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("spark.app.id", "each gets one of its own"),
        ("spark.kubernetes.driver.pod.name", "each gets one of its own"),
        ("spark.kubernetes.driver.resourceNamePrefix", "each gets one of its own"),
        ("spark.kubernetes.executor.podNamePrefix", "each gets one of its own"),
        ("spark.driver.host", "leave it out"),
        ("spark.driver.bindAddress", "leave it out"),
        (
            "spark.dynamicAllocation.maxExecutors",
            "write worker_specs.scale_out, with global_specs.min_scale_out",
        ),
        ("spark.streaming.dynamicAllocation.enabled", "write worker_specs.scale_out"),
        ("spark.executor.memory", "write worker_specs.memory"),
        ("spark.yarn.executor.memoryOverhead", "write worker_specs.memory_overhead"),
        ("spark.yarn.driver.memoryOverhead", "write master_specs.memory_overhead"),
        ("spark.kubernetes.authenticate.driver.serviceAccountName", "rbac_service_account"),
    ],
)
def test_what_collides_or_contradicts_is_refused_in_request_and_template(key: str, instead: str) -> None:
    for name in (key, f" {key} "):
        told = refusal({"spark_conf": {name: "x"}})
        assert f"{key} cannot be set" in told
        assert instead in told
        with pytest.raises(StartError, match=instead):
            check_template({"spec": {"sparkConf": {name: "x"}}})


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("spark.kubernetes.executor.volumes.persistentVolumeClaim.a.mount.path", "executor.volumeMounts"),
        ("spark.kubernetes.driver.secretKeyRef.A", "driver.env with valueFrom.secretKeyRef"),
        ("spark.kubernetes.executor.request.cores", "executor.coreRequest"),
        ("spark.kubernetes.driver.limit.cores", "driver.coreLimit"),
        ("spark.kubernetes.node.selector.zone", "spark_template_values.nodeSelector"),
        ("spark.kubernetes.executor.node.selector.zone", "executor.nodeSelector"),
        ("spark.kubernetes.executor.scheduler.name", "batch_scheduler"),
        ("spark.kubernetes.driver.podTemplateFile", "spark_template_values.driver and .executor"),
    ],
)
def test_what_fields_say_names_the_field(key: str, instead: str) -> None:
    assert reserved_reason(key) is None
    assert instead in str(refused_reason(key))


def test_all_that_is_wrong_is_named_at_once_whoever_refuses_it() -> None:
    values = {
        "spark_conf": {
            "spark.master": "k8s://x",
            "spark.kubernetes.executor.volumes.persistentVolumeClaim.a.options.claimName": "OnDemand",
            "not.a.property": "1",
            "spark.nothing": None,
            "spark.driver.extraClassPath": "/x.jar",
        },
        "driver": {"memory": "2g", "host_network": True},
        "image": "elsewhere/spark:4.1.0",
        "labels": {"team": "no label!"},
        "rescaling_mode": "sometimes",
        "release_name": 3,
    }
    limits = ManifestLimits(images=("here/",), spark_conf=("spark.sql.*",), max_executors=1)
    told = refusal(values, limits=limits)
    for said in (
        "spark.master cannot be set",
        "claimName cannot be set: write spark_template_values.volumes",
        "'not.a.property' is not a Spark property",
        "the value of spark.nothing",
        "spark.driver.extraClassPath is none of those",
        "memory: use master_specs",
        "host_network: only the service's template",
        "image is elsewhere/spark:4.1.0",
        "labels",
        "rescaling_mode must be",
        "release_name must be a text",
        "max_scale_out",
    ):
        assert said in told, said


def test_all_that_is_wrong_with_a_template_is_named_at_once() -> None:
    template = {
        "metadata": {"labels": {"a": "no label!"}},
        "spec": {
            "arguments": [],
            "type": "Python",
            "sparkConf": {"spark.app.id": "x", "spark.nothing": None},
            "driver": {"cores": 1, "unheard": 2},
        },
    }
    with pytest.raises(StartError) as refused:
        check_template(template)
    told = str(refused.value)
    for said in (
        "labels",
        "spec.arguments",
        "spec.type",
        "spark.app.id",
        "spark.nothing",
        "cores",
        "unheard",
    ):
        assert said in told, said


@pytest.mark.parametrize(
    ("former", "ours"),
    [
        ("spark.yarn.max.executor.failures", "spark.executor.maxNumFailures"),
        ("spark.worker.decommission.enabled", "spark.decommission.enabled"),
    ],
)
@pytest.mark.parametrize("by_template", [False, True])
def test_a_default_of_ours_gives_way_to_the_former_name_of_a_property(
    former: str, ours: str, by_template: bool
) -> None:
    """Spark reads it only where the present name is not set."""
    said = {former: "7"}
    if by_template:
        manifest = build({}, template={"metadata": {}, "spec": {"sparkConf": said}})
    else:
        manifest = build({"spark_conf": said})
    assert manifest["spec"]["sparkConf"][former] == "7"
    assert ours not in manifest["spec"]["sparkConf"]
    assert ours in build({})["spec"]["sparkConf"]


def test_the_limit_of_failures_follows_the_bound_in_effect_whatever_the_run_starts_with() -> None:
    for start in (1, 40):
        conf = build({}, start, {"max_scale_out": 40})["spec"]["sparkConf"]
        assert conf["spark.executor.maxNumFailures"] == "80"


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("jars", "spark.jars"),
        ("files", "spark.files"),
        ("py_files", "spark.submit.pyFiles"),
        ("archives", "spark.archives"),
        ("packages", "spark.jars.packages"),
        ("repositories", "spark.jars.repositories"),
    ],
)
def test_what_properties_name_stands_beside_dependencies(kind: str, key: str) -> None:
    """spark-submit takes the option, which operators make of `deps`, and drops the property."""
    one, two, three = (
        "https://files.example.org/a",
        "https://files.example.org/b",
        "https://files.example.org/c",
    )
    spec = build({"spark_conf": {key: f"{one} , {two}"}, "deps": {kind: [two, three]}})["spec"]
    field = "pyFiles" if kind == "py_files" else kind
    ours = spec["deps"]["jars"][-1:] if kind == "jars" else []
    assert spec["deps"][field] == [one, two, three, *ours]
    assert key not in spec["sparkConf"]


def test_jars_of_a_property_do_not_cost_the_plugin_its_jar() -> None:
    spec = build(
        {"spark_conf": {"spark.jars": "https://files.example.org/a.jar"}}, listener_jar="https://x/e.jar"
    )
    assert spec["spec"]["deps"]["jars"] == ["https://files.example.org/a.jar", "https://x/e.jar"]
    in_image = build(
        {"spark_conf": {"spark.jars": "https://files.example.org/a.jar"}},
        platform=KUBERNETES,
        listener_jar=KUBERNETES.listener_jar,
    )
    assert in_image["spec"]["sparkConf"]["spark.jars"] == "https://files.example.org/a.jar"


@pytest.mark.parametrize("written", [f"a.B,, {PLUGIN_CLASS} ", f"{PLUGIN_CLASS},a.B", " a.B "])
def test_our_plugin_is_named_once(written: str) -> None:
    named = build({"spark_conf": {"spark.plugins": written}})["spec"]["sparkConf"]["spark.plugins"].split(",")
    assert sorted(named) == sorted(["a.B", PLUGIN_CLASS])


def test_a_gang_is_as_large_as_the_run_starts() -> None:
    groups = [
        {"name": "driver", "minMember": 1},
        {"name": "executors", "minMember": 12, "minResource": {"cpu": 1}},
    ]
    annotations = {
        "yunikorn.apache.org/task-group-name": "driver",
        "yunikorn.apache.org/task-groups": json.dumps(groups),
    }
    driver = build({"driver": {"annotations": annotations}}, 3)["spec"]["driver"]
    found = json.loads(driver["annotations"]["yunikorn.apache.org/task-groups"])
    assert [group["minMember"] for group in found] == [1, 3]
    assert found[1]["minResource"] == {"cpu": 1}
    for unreadable in ("", "[", "{}", "7", '[{"name": "driver"}]', "[1, 2]"):
        annotations["yunikorn.apache.org/task-groups"] = unreadable
        driver = build({"driver": {"annotations": annotations}}, 3)["spec"]["driver"]
        assert driver["annotations"]["yunikorn.apache.org/task-groups"] == unreadable


@pytest.mark.parametrize(
    ("size", "meant"),
    [
        ("2g", "2g"),
        ("2G", "2g"),
        ("2gb", "2048m"),
        ("2097152k", "2048m"),
        ("2048", "2048m"),
        ("2048MB", "2048m"),
    ],
)
def test_sizes_in_each_unit_that_spark_takes(size: str, meant: str) -> None:
    body = body_of()
    body["worker_specs"] = {"memory": size}
    manifest = build_manifest(ApplicationSpecs.model_validate(body), EXECUTION_ID, 1, LOCAL)
    assert manifest["spec"]["executor"]["memory"] == meant


@pytest.mark.parametrize("size", ["1.5g", "0", "-1", "2 g", "2i", "g", "", "2gg", "1e3m", "٢g"])
def test_sizes_that_spark_does_not_take_are_refused(size: str) -> None:
    body = body_of()
    body["worker_specs"] = {"memory": size}
    with pytest.raises(ValueError, match=r"worker_specs\.memory"):
        ApplicationSpecs.model_validate(body)


def test_what_only_a_webhook_sets_is_told() -> None:
    values = {
        "volumes": [
            {"name": "settings", "configMap": {"name": "settings"}},
            {"name": "spark-local-dir-1", "emptyDir": {}},
        ],
        "node_selector": {"zone": "a"},
        "driver": {
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            "volume_mounts": [{"name": "settings", "mount_path": "/etc/settings"}],
            "labels": {"a": "b"},
        },
        "executor": {
            "tolerations": [{"operator": "Exists"}],
            "core_request": "1",
            "volume_mounts": [{"name": "spark-local-dir-1", "mount_path": "/tmp/spark"}],
        },
    }
    spec = parse_template_values(values).spec
    [told] = KUBERNETES.warnings(spec)
    assert told.startswith("volumes, driver.env, driver.volumeMounts, executor.tolerations: set in pods by")
    assert KUBERNETES_APACHE.warnings(spec) == LOCAL_PLATFORM.warnings(spec) == []
    assert KUBERNETES.warnings(parse_template_values({"spark_conf": {"spark.a": "b"}}).spec) == []
