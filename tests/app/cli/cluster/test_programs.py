"""What `enel cluster up` asks of other programs, and of the cluster, and what it says where they refuse."""

from pathlib import Path

import pytest

from tests.support.cluster_double import ClusterDouble, Tools
from tests.support.command_line import Enel


def test_a_kind_cluster_is_given_images(enel: Enel, api: ClusterDouble, tools: Tools, helm: Path) -> None:
    api.write_kubeconfig("kind-lab")
    docker = tools("docker", 'case "$*" in *"ls --quiet enel-spark"*) echo id;; esac')
    kind = tools("kind", "exit 0")
    ran = enel("cluster", "up", "--no-forward")
    assert ran.code == 0, ran.err
    [build] = [line for line in docker.read_text().splitlines() if line.startswith("build")]
    assert build == "build --file deploy/Dockerfile --tag enel-service:0.1.0 ."
    assert kind.read_text().splitlines() == [
        "load docker-image enel-service:0.1.0 --name lab",
        "load docker-image enel-spark:4.1.4 --name lab",
    ]


def test_minikube_builds_where_there_is_no_docker(
    enel: Enel, api: ClusterDouble, tools: Tools, helm: Path
) -> None:
    api.write_kubeconfig("minikube")
    minikube = tools("minikube", 'case "$2" in ls) echo docker.io/library/enel-service:0.1.0;; esac')
    assert enel("cluster", "up", "--no-forward").code == 0
    assert minikube.read_text().splitlines() == [
        "image ls --profile minikube",
        "image build --file deploy/spark/Dockerfile --tag enel-spark:4.1.4 --profile minikube .",
    ]


def test_programs_that_are_missing_are_named_before_anything_is_changed(
    enel: Enel, api: ClusterDouble, tools: Tools, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran = enel("cluster", "up")
    assert (ran.code, "helm.sh" in ran.err) == (1, True)
    tools("helm", "exit 0")
    ran = enel("cluster", "up")
    assert "kubectl is not on the PATH" in ran.err
    api.write_kubeconfig("kind-lab")
    ran = enel("cluster", "up")
    assert "docker is not on the PATH" in ran.err
    tools("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    ran = enel("cluster", "up")
    assert "Cannot connect to the Docker daemon" in ran.err
    assert "--no-images" in ran.err
    assert not api.secrets
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    ran = enel("cluster", "up")
    assert ran.code == 3
    assert "kind create cluster" in ran.err


def test_what_helm_refuses_is_said(enel: Enel, api: ClusterDouble, tools: Tools) -> None:
    tools("helm", "echo 'Error: values do not fit the schema' >&2; exit 1")
    api.become_empty()
    ran = enel("cluster", "up", "--no-forward")
    assert (ran.code, ran.out) == (1, "")
    assert not api.secrets, "it looks at the values first"
    assert "Helm refuses: Error: values do not fit the schema" in ran.err


def test_it_gives_up_and_says_what_is_missing(enel: Enel, api: ClusterDouble, helm: Path) -> None:
    api.ready_after = 1e9
    ran = enel("cluster", "up", "--timeout", 1, "--no-forward")
    assert ran.code == 5
    assert "/readyz needs MongoDB" in ran.out
    assert "careful" in ran.out
    assert "is not ready after 1 s" in ran.err


def test_whoever_may_make_no_secret_is_told(enel: Enel, api: ClusterDouble, helm: Path) -> None:
    api.forbidden.add("/api/v1/namespaces/enel/secrets")
    ran = enel("cluster", "up", "--no-forward")
    assert ran.code == 3
    assert "create secrets in the namespace enel" in ran.err
    assert "upgrade" not in helm.read_text()
