"""The chart's own MongoDB, as Helm renders it, and the script that its container starts with."""

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from common.settings.group import PROJECT_ROOT
from common.settings.settings import Settings
from tests.support.chart import CHART, FULL_VALUES, SCHEMA_VERSIONS, Render, Rendered

SECRET = "enel-mongodb-credentials"
VALUES = {"mongodb": {"enabled": True, "existingSecret": SECRET}}
NAME, SERVICE = "enel-enel-service-mongodb", "enel-enel-service"


@pytest.fixture(scope="module")
def chart(render: Render) -> Rendered:
    return render(VALUES)


def named(chart: Rendered, kind: str, name: str = NAME) -> Any:
    [found] = [each for each in chart.kind(kind) if each["metadata"]["name"] == name]
    return found


def container_of(stateful_set: Any) -> Any:
    [container] = stateful_set["spec"]["template"]["spec"]["containers"]
    return container


def test_nothing_of_it_is_rendered_unless_asked_for(default_chart: Rendered, full_chart: Rendered) -> None:
    for chart in (default_chart, full_chart):
        assert not [each for each in chart.manifests if "mongodb" in each["metadata"]["name"]]
    assert default_chart.environment["MONGODB_ENDPOINT"] == "mongodb"
    assert "env" not in default_chart.container


@pytest.mark.parametrize("version", SCHEMA_VERSIONS)
def test_kubernetes_knows_every_field(chart: Rendered, version: str) -> None:
    assert chart.lint["errors"] == []
    for manifest in chart.manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_service_connects_to_it(chart: Rendered, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in named(chart, "ConfigMap", SERVICE)["data"].items():
        monkeypatch.setenv(name, value)
    pod = f"{named(chart, 'StatefulSet')['metadata']['name']}-0"
    headless = named(chart, "Service")
    host = f"{pod}.{headless['metadata']['name']}.{headless['metadata']['namespace']}.svc"
    assert Settings().mongo.mongodb_endpoint == f"mongodb://{host}:27017/?replicaSet=rs0"
    assert named(chart, "StatefulSet")["spec"]["serviceName"] == headless["metadata"]["name"]
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["publishNotReadyAddresses"] is True


def test_what_is_secret_is_only_referred_to(chart: Rendered) -> None:
    assert not chart.kind("Secret")
    given = {
        each["name"]: each["valueFrom"] for each in container_of(named(chart, "StatefulSet", SERVICE))["env"]
    }
    assert given == {
        "MONGODB_USERNAME": {"secretKeyRef": {"name": SECRET, "key": "username"}},
        "MONGODB_PASSWORD": {"secretKeyRef": {"name": SECRET, "key": "password"}},
    }
    volumes = named(chart, "StatefulSet")["spec"]["template"]["spec"]["volumes"]
    [secret] = [each["secret"] for each in volumes if "secret" in each]
    assert secret == {"secretName": SECRET, "defaultMode": 0o440}
    assert all("value" in each for each in container_of(named(chart, "StatefulSet"))["env"])


def test_the_service_starts_after_it(chart: Rendered) -> None:
    service = named(chart, "StatefulSet", SERVICE)
    [waiting] = service["spec"]["template"]["spec"]["initContainers"]
    container = container_of(service)
    assert {key: waiting[key] for key in ("image", "env", "envFrom")} == {
        key: container[key] for key in ("image", "env", "envFrom")
    }
    *command, script = waiting["command"]
    assert command == ["python", "-c"]
    assert set(re.findall(r'environ\["(\w+)"\]', script)) <= {
        *(each["name"] for each in waiting["env"]),
        *named(chart, "ConfigMap", SERVICE)["data"],
    }


def test_another_mongodb_stays_the_one_that_was_named(render: Render) -> None:
    chart = render({**FULL_VALUES, **VALUES})
    assert "initContainers" not in named(chart, "StatefulSet", SERVICE)["spec"]["template"]["spec"]
    config = named(chart, "ConfigMap", SERVICE)["data"]
    assert config["MONGODB_ENDPOINT"] == FULL_VALUES["settings"]["MONGODB_ENDPOINT"]
    secrets = {each["name"] for each in container_of(named(chart, "StatefulSet", SERVICE))["env"]}
    assert secrets == FULL_VALUES["secretSettings"].keys()


def test_its_pod_meets_the_restricted_standard(chart: Rendered) -> None:
    pod = named(chart, "StatefulSet")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container_of(named(chart, "StatefulSet"))["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    [waiting] = named(chart, "StatefulSet", SERVICE)["spec"]["template"]["spec"]["initContainers"]
    assert waiting["securityContext"] == container_of(named(chart, "StatefulSet"))["securityContext"]
    compose = yaml.safe_load((PROJECT_ROOT / "deploy" / "compose.yaml").read_text())
    assert container_of(named(chart, "StatefulSet"))["image"] == compose["services"]["mongodb"]["image"]


def test_only_the_services_pods_may_connect(chart: Rendered) -> None:
    policy = named(chart, "NetworkPolicy")["spec"]
    service, mongodb = (
        named(chart, "StatefulSet", name)["spec"]["template"]["metadata"]["labels"]
        for name in (SERVICE, NAME)
    )
    assert policy["podSelector"]["matchLabels"].items() <= mongodb.items()
    [rule] = policy["ingress"]
    [peer] = rule["from"]
    assert peer.keys() == {"podSelector"}
    assert peer["podSelector"]["matchLabels"].items() <= service.items()
    assert rule["ports"] == [{"port": "mongodb", "protocol": "TCP"}]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy


def test_the_service_does_not_send_its_own_callers_to_it(chart: Rendered) -> None:
    mongodb = named(chart, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    for selector in (
        named(chart, "Service", SERVICE)["spec"]["selector"],
        named(chart, "NetworkPolicy", SERVICE)["spec"]["podSelector"]["matchLabels"],
    ):
        assert not selector.items() <= mongodb.items()


def test_names_stay_short_enough(render: Render) -> None:
    chart = render({**VALUES, "fullnameOverride": "x" * 60})
    appended_by_kubernetes = len("-0123456789")
    for stateful_set in chart.kind("StatefulSet"):
        assert len(stateful_set["metadata"]["name"]) + appended_by_kubernetes <= 63


def test_it_needs_a_secret(render: Render) -> None:
    with pytest.raises(Exception, match=r"mongodb\.existingSecret"):
        render({"mongodb": {"enabled": True}})
    with pytest.raises(Exception, match="password"):
        render({"mongodb": {**VALUES["mongodb"], "password": "secret"}})


def test_its_scripts_are_mounted_and_read_what_the_pod_has(chart: Rendered) -> None:
    scripts = named(chart, "ConfigMap")["data"]
    assert scripts == {path.name: path.read_text() for path in (CHART / "files" / "mongodb").iterdir()}
    container = container_of(named(chart, "StatefulSet"))
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    assert mounts == {"/data/db", "/tmp", "/setup", "/run/secrets/mongodb"}
    assert container["command"] == ["bash", "/setup/start.sh"]
    assert container["startupProbe"]["exec"]["command"] == ["test", "-f", "/tmp/ready"]
    for default in re.findall(r":-(/[\w/]+)", scripts["start.sh"]):
        assert any(default == mount or default.startswith(mount) for mount in mounts), default


def test_its_user_is_the_secrets(render: Render) -> None:
    """Another one would never be let in, and the service's pod would wait for that without an end."""
    with pytest.raises(Exception, match=r"settings\.MONGODB_USERNAME"):
        render({**VALUES, "settings": {"MONGODB_USERNAME": "somebody"}})
