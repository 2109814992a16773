"""Served models in the chart: off, in the service's own container, and on a Ray cluster."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ray.scripts.scripts import start

from common.settings.group import PROJECT_ROOT
from common.settings.settings import Settings
from tests.support.chart import CHART, SCHEMA_VERSIONS, Json, Refused, Render, Rendered

PEERS = [{"podSelector": {"matchLabels": {"ray.io/cluster": "models"}}}]
TOKEN = {"name": "enel-ray", "key": "token"}
ALONE: Json = {"serving": {"enabled": True}}
ON_A_CLUSTER: Json = {
    "serving": {
        "enabled": True,
        "rayAddress": "ray-head.ray.svc:6379",
        "rayToken": TOKEN,
        "rayPeers": PEERS,
    }
}


@pytest.fixture(scope="module")
def alone(render: Render) -> Rendered:
    return render(ALONE)


@pytest.fixture(scope="module")
def on_a_cluster(render: Render) -> Rendered:
    return render(ON_A_CLUSTER)


def containers(chart: Rendered) -> dict[str, Json]:
    return {each["name"]: each for each in chart.pod["spec"]["containers"]}


def settings_of(chart: Rendered, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in chart.environment.items():
        monkeypatch.setenv(name, value)
    return Settings()


def shared_memory(chart: Rendered) -> Any:
    [volume] = [each for each in chart.pod["spec"]["volumes"] if each["name"] == "shared-memory"]
    return volume["emptyDir"]


@pytest.mark.parametrize("version", SCHEMA_VERSIONS)
@pytest.mark.parametrize("name", ["alone", "on_a_cluster"])
def test_kubernetes_knows_every_field(request: pytest.FixtureRequest, name: str, version: str) -> None:
    chart: Rendered = request.getfixturevalue(name)
    assert chart.lint["errors"] == []
    for manifest in chart.manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_nothing_is_served_unless_asked_for(
    default_chart: Rendered, render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings_of(default_chart, monkeypatch).serving.serving is False
    assert "Models are served" not in default_chart.notes
    off = render({"serving": {**ON_A_CLUSTER["serving"], "enabled": False}})
    assert off.manifests == default_chart.manifests


def test_without_a_cluster_the_services_own_container_has_room(
    alone: Rendered, default_chart: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(alone, monkeypatch)
    assert settings.serving.serving
    assert settings.serving.ray_address == ""
    assert containers(alone).keys() == {"enel-service"}
    assert "env" not in alone.container
    assert alone.pod["spec"].get("shareProcessNamespace") is None
    assert shared_memory(alone) == {"medium": "Memory", "sizeLimit": "512Mi"}
    assert shared_memory(default_chart)["sizeLimit"] == "256Mi"
    assert alone.kind("NetworkPolicy") == default_chart.kind("NetworkPolicy"), "it is reached by loopback"
    assert "resources.limits.memory" in alone.notes
    assert "SERVING_PYTHON" in alone.notes


def test_files_of_versions_lie_on_the_volume_and_fit_it(
    alone: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(alone, monkeypatch)
    folder = settings.serving.serving_cache_dir
    assert folder is not None
    assert folder.is_relative_to(settings.server.data_dir)
    assert settings.server.data_dir in {
        Path(mount["mountPath"]) for mount in alone.container["volumeMounts"] if mount["name"] == "data"
    }
    [stateful_set] = alone.kind("StatefulSet")
    [claim] = stateful_set["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert settings.serving.serving_cache_bytes <= 5 << 30, "trainings need some of it, too"


def test_the_token_of_a_cluster_comes_from_its_secret(
    on_a_cluster: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings_of(on_a_cluster, monkeypatch).serving.ray_address == "ray-head.ray.svc:6379"
    assert on_a_cluster.environment["RAY_AUTH_MODE"] == "token"
    assert "RAY_AUTH_TOKEN" not in on_a_cluster.environment
    assert not on_a_cluster.kind("Secret")
    both = containers(on_a_cluster)
    assert both.keys() == {"enel-service", "ray-node"}
    for container in both.values():
        [token] = [each for each in container["env"] if each["name"] == "RAY_AUTH_TOKEN"]
        assert token == {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": TOKEN}}


def test_a_node_of_the_cluster_runs_where_the_driver_finds_it(on_a_cluster: Rendered) -> None:
    """The node is found by the list of processes, and spoken to over sockets in /tmp and by /dev/shm."""
    node, service = containers(on_a_cluster)["ray-node"], containers(on_a_cluster)["enel-service"]
    assert on_a_cluster.pod["spec"]["shareProcessNamespace"] is True
    assert node["image"] == service["image"]
    assert node["securityContext"] == service["securityContext"]
    shared = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "shared-memory", "mountPath": "/dev/shm"}]
    assert node["volumeMounts"] == shared, "and nothing of the service's own"
    assert all(mount in service["volumeMounts"] for mount in shared)
    assert "ray-node" in on_a_cluster.notes
    names = {each["name"] for each in node["env"]}
    script = (CHART / "files" / "ray_node.sh").read_text()
    assert node["command"][-1] == script
    assert set(re.findall(r"\$(\w+)", script)) == {"CLUSTER", "POD_IP"} <= names


def test_the_node_is_started_with_options_that_ray_has() -> None:
    script = (CHART / "files" / "ray_node.sh").read_text()
    known = {name for option in start.params for name in (*option.opts, *option.secondary_opts)}
    given = set(re.findall(r"(--[a-z-]+)", script))
    assert given
    assert given <= known
    assert "--num-cpus=0 " in script, "models are placed elsewhere"
    dockerfile = (PROJECT_ROOT / "deploy" / "Dockerfile").read_text()
    assert "tini" in dockerfile, "which the container starts with"


def test_only_nodes_of_the_cluster_are_let_in(on_a_cluster: Rendered, default_chart: Rendered) -> None:
    [policy], [before] = on_a_cluster.kind("NetworkPolicy"), default_chart.kind("NetworkPolicy")
    *others, nodes = policy["spec"]["ingress"]
    assert others == before["spec"]["ingress"]
    assert nodes == {"from": PEERS, "ports": [{"port": 20000, "endPort": 20999, "protocol": "TCP"}]}
    script = (CHART / "files" / "ray_node.sh").read_text()
    ports = {int(each) for each in re.findall(r"port=(\d+)", script)}
    assert (min(ports), max(ports)) == (20000, 20999)
    *others, nodes = policy["spec"]["egress"]
    assert others == before["spec"]["egress"]
    assert nodes == {"to": PEERS, "ports": [{"protocol": "TCP"}]}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"rayToken": {}}, "rayToken"),
        ({"rayToken": {"name": "enel-ray"}}, "rayToken"),
        ({"rayToken": "0123456789abcdef"}, "rayToken"),
        ({"rayPeers": []}, "rayPeers"),
        ({"rayAddress": "ray://ray-head:10001"}, "rayAddress"),
        ({"sharedMemorySize": "much"}, "sharedMemorySize"),
        ({"enable": True}, "enable"),
    ],
)
def test_mistakes_are_refused_before_anything_is_installed(render: Render, values: Json, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        render({"serving": ON_A_CLUSTER["serving"] | values})


def test_where_no_policy_is_made_nobody_has_to_be_named(render: Render) -> None:
    serving = {**ON_A_CLUSTER["serving"], "rayPeers": []}
    assert not render({"serving": serving, "networkPolicy": {"enabled": False}}).kind("NetworkPolicy")


def test_settings_that_the_chart_has_values_for_are_not_set_beside_them(render: Render) -> None:
    for name in ("SERVING", "RAY_ADDRESS", "SERVING_CACHE_DIR", "SERVING_CACHE_BYTES"):
        with pytest.raises(Refused, match=name):
            render({"settings": {name: "1"}})
    chart = render({**ALONE, "settings": {"SERVING_PYTHON": True, "SERVING_MAX_MODELS": 4}})
    assert chart.environment["SERVING_PYTHON"] == "true"
    assert "SERVING_PYTHON" not in chart.notes
