"""Resources for Apache's operator: as kept, as its CRD wants them, and what it has nothing for."""

import copy
import dataclasses
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic.alias_generators import to_camel

from common.errors import InvalidRequest
from common.wire.specs import ApplicationSpecs
from submission.kubernetes.apache.dialect import APACHE
from submission.manifest.build import Manifest
from submission.manifest.fields import POD_OF_TEMPLATE, SPEC_OF_TEMPLATE, Pod, SpecFields
from submission.manifest.options import ManifestOptions
from tests.support.golden import APACHE_FOLDER, KUBERNETES, apache_cases, render, render_apache
from tests.support.manifests import request_specs

OPTIONS = dataclasses.replace(KUBERNETES, platform=APACHE.platform)


def manifest(**values: Any) -> Manifest:
    return render(without_version(**values), OPTIONS)


def without_version(**values: Any) -> ApplicationSpecs:
    specs = request_specs(spark_template_values=values)
    specs.optional_specs.spark_version = None
    return specs


@pytest.mark.parametrize("case", list(apache_cases()), ids=lambda case: case[0])
def test_it_is_as_kept_and_as_the_operator_takes_it(
    apache_crd: jsonschema.Draft202012Validator, case: tuple[str, ApplicationSpecs, ManifestOptions]
) -> None:
    name, specs, options = case
    rendered = render_apache(specs, options)
    kept = yaml.safe_load((APACHE_FOLDER / f"{name}.yaml").read_text())
    assert rendered == kept, "see tests/support/golden.py"
    apache_crd.validate(rendered)


def test_every_kept_one_is_rendered() -> None:
    assert {path.stem for path in APACHE_FOLDER.glob("*.yaml")} == {name for name, _, _ in apache_cases()}


def test_a_manifest_is_not_changed() -> None:
    ours = manifest(volumes=[{"name": "data", "emptyDir": {}}])
    before = copy.deepcopy(ours)
    APACHE.render(ours)
    assert ours == before


def test_jars_of_a_python_program_do_not_make_java_of_it() -> None:
    """The operator runs what `jars` names wherever it names something."""
    spec = APACHE.render(manifest(main_application_file="/a.py", deps={"jars": ["hdfs:///b.jar"]}))["spec"]
    assert "jars" not in spec
    assert (spec["pyFiles"], spec["sparkConf"]["spark.jars"]) == ("local:///a.py", "hdfs:///b.jar")


def test_further_jars_stand_beside_the_one_that_is_run() -> None:
    values = {
        "main_application_file": "hdfs:///a.jar",
        "main_class": "A",
        "deps": {"jars": ["hdfs:///b.jar"]},
    }
    spec = APACHE.render(manifest(**values))["spec"]
    assert (spec["jars"], spec["mainClass"]) == ("hdfs:///a.jar", "A")
    assert spec["sparkConf"]["spark.jars"] == "hdfs:///a.jar,hdfs:///b.jar"


def test_what_it_has_nothing_for_is_named_at_once_with_what_to_write() -> None:
    ours = manifest(
        main_application_file="hdfs:///a.jar",
        batch_scheduler="volcano",
        monitoring={"exposeDriverMetrics": True},
    )
    ours["spec"]["driver"]["gpu"] = {"name": "nvidia.com/gpu", "quantity": 1}
    ours["spec"]["sparkVersion"] = "3.4.1"
    with pytest.raises(InvalidRequest) as caught:
        APACHE.render(ours)
    instead = {each["field"]: each["message"] for each in caught.value.members["errors"]}
    assert instead.keys() == {"monitoring", "batchScheduler", "driver.gpu", "main_class", "sparkVersion"}
    assert "spark.driver.resource.gpu.amount" in instead["driver.gpu"]
    assert all(f"{field}: {message}" in str(caught.value) for field, message in instead.items())


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("registry:5000/spark:4.0.1", "4.0.1"),
        ("registry/spark:v4.1.0-scala2.13-java17", "4.1.0"),
        ("registry/spark:4.0.0-preview1", "4.0.0-preview1"),
        (f"registry/spark:3.5.7@sha256:{'0' * 64}", "3.5.7"),
    ],
)
def test_the_version_of_spark_is_that_of_the_image(image: str, version: str) -> None:
    spec = APACHE.render(manifest(image=image))["spec"]
    assert spec["runtimeVersions"] == {"sparkVersion": version}


@pytest.mark.parametrize("image", ["registry/bench", "registry:5000/bench", "registry/bench:2", "b:nightly"])
def test_a_version_that_nobody_can_know_is_asked_for(image: str) -> None:
    with pytest.raises(InvalidRequest, match=r"optional_specs.spark_version is missing"):
        manifest(image=image)
    specs = without_version(image=image)
    specs.optional_specs.spark_version = "4.0.1"
    assert render_apache(specs, OPTIONS)["spec"]["runtimeVersions"] == {"sparkVersion": "4.0.1"}


def _spec_fields() -> set[str]:
    typed = {to_camel(name) for name in SpecFields.model_fields}
    return {*typed, *SPEC_OF_TEMPLATE} - {"driver", "executor"}


def _pod_fields() -> set[str]:
    return {to_camel(name) for name in Pod.model_fields} | POD_OF_TEMPLATE


MAP = {"key": "value"}
SPEC_VALUES: dict[str, Any] = {
    "volumes": [{"name": "mounted", "emptyDir": {}}],
    "deps": {"files": ["hdfs:///a"]},
    "restartPolicy": {"type": "Always"},
    "timeToLiveSeconds": 60,
    "imagePullSecrets": ["registry"],
    "sparkConf": MAP,
    "hadoopConf": MAP,
    "nodeSelector": MAP,
}
POD_VALUES: dict[str, Any] = {
    "env": [{"name": "A", "value": "1"}],
    "envSecretKeyRefs": {"A": {"name": "secret", "key": "key"}},
    "volumeMounts": [{"name": "some"}],
    "initContainers": [{"name": "some"}],
    "sidecars": [{"name": "some"}],
    "labels": MAP,
    "annotations": MAP,
    "nodeSelector": MAP,
    "envVars": MAP,
    "serviceLabels": MAP,
    "serviceAnnotations": MAP,
}


@pytest.mark.parametrize("field", sorted(_spec_fields()))
def test_no_field_is_dropped_in_silence(field: str) -> None:
    ours = manifest()
    ours["spec"]["driver"]["volumeMounts"] = [{"name": "mounted", "mountPath": "/a"}]
    _is_rendered_or_refused(ours, ours["spec"], field, SPEC_VALUES.get(field, "some"))


@pytest.mark.parametrize("role", ["driver", "executor"])
@pytest.mark.parametrize("field", sorted(_pod_fields()))
def test_no_field_of_a_pod_is_dropped_in_silence(field: str, role: str) -> None:
    ours = manifest()
    _is_rendered_or_refused(ours, ours["spec"][role], field, POD_VALUES.get(field, "some"))


def _is_rendered_or_refused(ours: Manifest, part: dict[str, Any], field: str, value: Any) -> None:
    before = APACHE.render(ours)
    part[field] = value
    try:
        is_told = APACHE.render(ours) != before
    except InvalidRequest as error:
        is_told = [each["field"].rpartition(".")[2] for each in error.members["errors"]] == [field]
    assert is_told


def test_a_driver_beside_others_in_its_pod_is_told_apart() -> None:
    ours = manifest()
    ours["spec"]["driver"]["sidecars"] = [{"name": "proxy", "image": "proxy:1"}]
    spec = APACHE.render(ours)["spec"]
    containers = spec["driverSpec"]["podTemplateSpec"]["spec"]["containers"]
    assert [container["name"] for container in containers] == ["spark-kubernetes-driver", "proxy"]
    key = "spark.kubernetes.driver.podTemplateContainerName"
    assert spec["sparkConf"][key] == "spark-kubernetes-driver"


@pytest.mark.parametrize(
    ("policy", "config"),
    [
        ({"type": "Never", "onFailureRetries": 3}, {"restartPolicy": "Never"}),
        ({"type": "Always"}, {"restartPolicy": "Always", "maxRestartAttempts": 2**31 - 1}),
        (
            {"type": "OnFailure", "onFailureRetries": 2, "onFailureRetryInterval": 30},
            {
                "restartPolicy": "OnFailure",
                "maxRestartAttempts": 2,
                "maxRestartOnFailure": 2,
                "maxRestartOnSchedulingFailure": 0,
                "restartBackoffMillis": 30_000,
                "restartBackoffMillisForFailure": 30_000,
            },
        ),
    ],
)
def test_restarts(policy: dict[str, Any], config: dict[str, Any]) -> None:
    found = APACHE.render(manifest(restart_policy=policy))["spec"]["applicationTolerations"]
    assert found["restartConfig"] == config
