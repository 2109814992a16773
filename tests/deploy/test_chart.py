"""The Helm chart, as Helm renders it, held against Kubernetes' schemas and the service's own code."""

import ast
import importlib
import importlib.util
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest

from common.settings.group import PROJECT_ROOT
from common.settings.settings import Settings
from submission.kubernetes.apache.dialect import APACHE
from submission.kubernetes.dialect import Dialect
from submission.kubernetes.kubeflow import KUBEFLOW
from submission.kubernetes.rights import REVIEWS, needed_rights
from tests.support.chart import CHART, FULL_VALUES, SCHEMA_VERSIONS, Render

DRIVER = {"spark-role": "driver"}


@pytest.fixture(params=["default_chart", "full_chart"])
def chart(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def setting_names() -> set[str]:
    groups = (field.annotation for field in Settings.model_fields.values())
    return {name.upper() for group in groups for name in group.model_fields}  # type: ignore[union-attr]


def test_helm_finds_nothing_to_complain_about(chart: Any) -> None:
    assert chart.lint["errors"] == []
    informational = 1
    assert [each for each in chart.lint["messages"] if each["severity"] > informational] == []


@pytest.mark.parametrize("version", SCHEMA_VERSIONS)
def test_kubernetes_knows_every_field(chart: Any, version: str) -> None:
    for manifest in chart.manifests:
        if manifest["kind"] != "ServiceMonitor":  # not of Kubernetes itself
            kubernetes_validate.validate(manifest, version, strict=True)


def test_everything_optional_is_rendered_when_asked_for(default_chart: Any, full_chart: Any) -> None:
    everything = {
        "ConfigMap", "NetworkPolicy", "Role", "RoleBinding", "Service", "ServiceAccount", "StatefulSet",
    }  # fmt: skip
    assert {manifest["kind"] for manifest in default_chart.manifests} == everything
    assert {manifest["kind"] for manifest in full_chart.manifests} == everything | {
        "PodDisruptionBudget",
        "ServiceMonitor",
    }


def test_the_service_understands_what_the_chart_sets(
    full_chart: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = {each["name"] for each in full_chart.container["env"]}
    assert full_chart.environment.keys() | secret <= setting_names()
    assert not full_chart.environment.keys() & secret

    for name, value in full_chart.environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.server.max_body_bytes == 16777216
    assert settings.hdfs.hdfs_endpoint == "http://namenode-a:9870;http://namenode-b:9870"
    assert settings.training.training_schedules == {"KMeans": "0 3 * * *"}
    assert settings.prediction.target_confidence == 0.9
    assert settings.kubernetes.kubernetes_in_cluster
    assert settings.kubernetes.namespaces == ("jobs", "more-jobs")
    assert settings.submission.submission_allowed_images == ("registry.example.org/spark", "apache/spark")
    assert settings.submission.callback_token_secret == "enel-callback/token"

    [service] = full_chart.kind("Service")
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert settings.callback_address == (host, service["spec"]["ports"][0]["port"])
    [port] = full_chart.container["ports"]
    assert settings.server.port == port["containerPort"]
    mounts = {mount["mountPath"] for mount in full_chart.container["volumeMounts"]}
    assert str(settings.server.data_dir) in mounts


def granted_by(role: Any) -> set[tuple[str, str]]:
    """Verbs and resources."""
    return {
        (verb, f"{resource}.{group}" if group else resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def accesses(dialect: Dialect) -> Iterator[tuple[str, str]]:
    """Verb and resource of every request to Kubernetes in the service's code.

    Each names them in an `Access`, from which the error about a missing rule is made. What is asked by
    whoever installs the service, in `app/cluster`, is none of its own.
    """
    of_people = PROJECT_ROOT / "app" / "cluster"
    for folder in ("app", "common", "submission"):
        for path in sorted((PROJECT_ROOT / folder).rglob("*.py")):
            if of_people in path.parents:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "Access":
                    name = ".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts)
                    module = {**vars(importlib.import_module(name)), "self": SimpleNamespace(dialect=dialect)}
                    verb, resource = (eval(ast.unparse(argument), module) for argument in node.args[:2])
                    yield verb, resource


def test_the_role_allows_what_the_code_does_and_nothing_else(full_chart: Any) -> None:
    needed = set(accesses(KUBEFLOW)) - {("create", REVIEWS)}  # which everybody has
    assert ("create", "sparkapplications.sparkoperator.k8s.io") in needed

    assert not full_chart.kind("ClusterRole")
    assert not full_chart.kind("ClusterRoleBinding")
    roles = {role["metadata"]["namespace"]: role for role in full_chart.kind("Role")}
    assert roles.keys() == {"jobs", "more-jobs"}
    for role in roles.values():
        assert granted_by(role) == needed
        assert needed == {(right.verb, right.of) for right in needed_rights(KUBEFLOW)}
    [account] = full_chart.kind("ServiceAccount")
    for binding in full_chart.kind("RoleBinding"):
        assert binding["roleRef"]["name"] == roles[binding["metadata"]["namespace"]]["metadata"]["name"]
        [subject] = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == (
            account["metadata"]["name"],
            account["metadata"]["namespace"],
        )


def test_the_role_is_for_the_operator_that_is_chosen(render: Render) -> None:
    chart = render({**FULL_VALUES, "settings": {**FULL_VALUES["settings"], "SPARK_OPERATOR": "Apache"}})
    assert chart.environment["SPARK_OPERATOR"] == "Apache"
    needed = {(right.verb, right.of) for right in needed_rights(APACHE)}
    assert ("watch", "sparkapplications.spark.apache.org") in needed
    for role in chart.kind("Role"):
        assert granted_by(role) == needed
    assert set(accesses(APACHE)) - {("create", REVIEWS)} == needed


def test_the_pod_meets_the_restricted_standard(chart: Any) -> None:
    """Kubernetes' Pod Security Standard, and a root file system that cannot be written to."""
    pod, container = chart.pod["spec"], chart.container
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all("hostPath" not in volume for volume in pod["volumes"])
    dockerfile = (PROJECT_ROOT / "deploy" / "Dockerfile").read_text()
    assert f"USER {pod['securityContext']['runAsUser']}:" in dockerfile


def test_every_replica_comes_back_to_its_own_folder(chart: Any) -> None:
    [stateful_set] = chart.kind("StatefulSet")
    [claim] = stateful_set["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] in {mount["name"] for mount in chart.container["volumeMounts"]}
    assert stateful_set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"


def test_secrets_are_only_referred_to(full_chart: Any) -> None:
    assert not full_chart.kind("Secret")
    assert {each["name"]: each["valueFrom"] for each in full_chart.container["env"]} == {
        "CALLBACK_TOKEN": {"secretKeyRef": {"name": "enel-callback", "key": "token"}},
        "HDFS_TOKEN": {"secretKeyRef": {"name": "enel-hdfs", "key": "token"}},
        "MONGODB_PASSWORD": {"secretKeyRef": {"name": "enel-mongodb", "key": "password"}},
    }


def test_only_drivers_and_whoever_was_named_may_call(default_chart: Any, full_chart: Any) -> None:
    [policy] = default_chart.kind("NetworkPolicy")
    [rule] = policy["spec"]["ingress"]
    [peer] = rule["from"]
    assert peer["podSelector"]["matchLabels"] == DRIVER
    assert peer["namespaceSelector"]["matchExpressions"][0]["values"] == ["enel"]
    assert rule["ports"] == [{"port": "http", "protocol": "TCP"}]
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= default_chart.pod["metadata"]["labels"].items()
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, 443, 6443, 27017}, "no HDFS is configured"

    [policy] = full_chart.kind("NetworkPolicy")
    [rule] = policy["spec"]["ingress"]
    assert rule["from"][0]["namespaceSelector"]["matchExpressions"][0]["values"] == ["jobs", "more-jobs"]
    named = [peer["namespaceSelector"]["matchLabels"] for peer in rule["from"][1:]]
    assert [labels["kubernetes.io/metadata.name"] for labels in named] == ["ingress", "monitoring"]
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, 88, 443, 6443, 9864, 9865, 9870, 9871, 27017}


def test_probes_and_the_monitor_ask_for_paths_that_exist(full_chart: Any) -> None:
    from app.factory import create_app

    known = create_app(Settings()).openapi()["paths"]
    container = full_chart.container
    asked = {
        container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    [monitor] = full_chart.kind("ServiceMonitor")
    asked |= {endpoint["path"] for endpoint in monitor["spec"]["endpoints"]}
    assert asked == {"/healthz", "/readyz", "/metrics"}
    assert asked <= known.keys()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"settings": {"MONGODB_ENDPONT": "mongodb"}}, "MONGODB_ENDPONT"),
        ({"settings": {"MONGODB_PASSWORD": "secret"}}, "MONGODB_PASSWORD"),
        ({"settings": {"MONGODB_ENDPOINT": ""}}, "MONGODB_ENDPOINT"),
        ({"settings": {"HOST": "127.0.0.1"}}, "HOST"),
        ({"secretSettings": {"MONGODB_PASSWORD": "secret"}}, "MONGODB_PASSWORD"),
        ({"replicas": 2}, "HDFS_ENDPOINT"),
        ({"applications": {"namespaces": ["Not_a_name"]}}, "namespaces"),
    ],
)
def test_mistakes_are_refused_before_anything_is_installed(render: Any, values: Any, reason: str) -> None:
    with pytest.raises(Exception, match=reason):
        render(values)


def test_kerberos_needs_an_image_of_ones_own_and_the_notes_say_so(render: Any, default_chart: Any) -> None:
    """Until the image has what that takes: then these words are wrong."""
    chart = render({"settings": {"HDFS_KERBEROS": True, "HDFS_ENDPOINT": "http://namenode:9870"}})
    assert "requests-kerberos" in chart.notes
    assert "requests-kerberos" not in default_chart.notes
    assert "requests-kerberos" not in (PROJECT_ROOT / "requirements.txt").read_text()
    assert "pip install --no-cache-dir requests-kerberos" in (PROJECT_ROOT / "deploy/README.md").read_text()


def test_another_clusters_credentials_replace_the_service_account(render: Any) -> None:
    values = {
        "settings": {"KUBERNETES_ENDPOINT": "https://10.0.0.1:6443"},
        "secretSettings": {"KUBERNETES_API_KEY": {"name": "other-cluster", "key": "token"}},
    }
    chart = render(values)
    assert "KUBERNETES_IN_CLUSTER" not in chart.environment
    assert chart.pod["spec"]["automountServiceAccountToken"] is False
    assert not chart.kind("Role")


def test_the_schema_of_the_values_knows_every_setting() -> None:
    script = PROJECT_ROOT / "deploy" / "helm" / "write_schema.py"
    spec = importlib.util.spec_from_file_location("write_schema", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    schema = json.loads((CHART / "values.schema.json").read_text())
    expected = module.with_settings(json.loads(json.dumps(schema)))
    assert schema == expected, "settings have changed: run `python deploy/helm/write_schema.py`"
