"""`enel cluster up`, from an empty cluster and from what somebody has installed already."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.support.cluster_double import NAME, OPERATOR, ClusterDouble, Tools, operator
from tests.support.command_line import Enel


def values(tmp_path: Path) -> dict[str, object]:
    loaded: dict[str, object] = yaml.safe_load((tmp_path / "values.yaml").read_text())
    return loaded


def test_from_an_empty_cluster_to_the_page(
    enel: Enel, api: ClusterDouble, tools: Tools, helm: Path, tmp_path: Path
) -> None:
    kubectl = tools("kubectl", "echo 'Forwarding from 127.0.0.1:40123 -> 5000'")
    api.become_empty()
    api.operators = []
    ran = enel("cluster", "up", "--timeout", 1)
    assert ran.code == 5, "the operator does not come up"
    assert "waits for the spark-operator" in ran.err

    api.operators = [operator(OPERATOR, "enel")]
    ran = enel("cluster", "up")
    assert ran.code == 0, ran.err
    assert ran.out.endswith("http://127.0.0.1:40123\n")
    assert f"service/{NAME}" in kubectl.read_text()

    assert api.namespaces == {"default", "enel"}
    assert {name: set(each["data"]) for name, each in api.secrets.items()} == {
        "enel-admin": {"token"},
        "enel-mongodb-credentials": {"username", "password", "root-password", "keyfile"},
    }
    check, first, *_ = helm.read_text().splitlines()
    assert check.startswith("template enel")
    assert first.startswith(f"upgrade --install {OPERATOR} {OPERATOR} --repo https://kubeflow.github.io/")
    assert "--version 2.5.2" in first
    assert "spark.jobNamespaces={enel}" in first
    assert values(tmp_path) == {
        "mongodb": {"enabled": True, "existingSecret": "enel-mongodb-credentials"},
        "secretSettings": {"ADMIN_TOKEN": {"name": "enel-admin", "key": "token"}},
        "settings": {"SUBMISSION_ALLOWED_SERVICE_ACCOUNTS": ["spark"]},
    }


def test_no_secret_is_shown_and_all_are_random(
    enel: Enel, api: ClusterDouble, tools: Tools, helm: Path, tmp_path: Path
) -> None:
    api.become_empty()
    api.operators = [operator(OPERATOR)]
    seen = []
    for _ in range(2):
        ran = enel("cluster", "up", "--no-forward")
        assert ran.code == 0, ran.err
        secrets = {
            value for each in api.secrets.values() for key, value in each["data"].items() if key != "username"
        }
        written = ran.out + ran.err + helm.read_text() + (tmp_path / "values.yaml").read_text()
        assert not [value for value in secrets if value in written]
        assert all(len(value) >= 32 for value in secrets)
        seen += secrets
        api.secrets.clear()
    assert len(set(seen)) == len(seen) == 8
    assert "kubectl --namespace enel get secret enel-admin --output go-template=" in ran.err


def test_the_next_time_it_only_updates(enel: Enel, api: ClusterDouble, helm: Path, tmp_path: Path) -> None:
    api.operators = [operator(OPERATOR, "enel")]
    enel("cluster", "up", "--no-forward")
    first, made = values(tmp_path), dict(api.secrets)
    helm.unlink()
    ran = enel("cluster", "up", "--no-forward")
    assert ran.code == 0, ran.err
    assert (values(tmp_path), api.secrets) == (first, made)
    assert [line.split()[0] for line in helm.read_text().splitlines()] == ["template", "upgrade"]
    assert "Reach it: enel cluster url" in ran.err


def test_what_is_given_comes_after_what_it_would_choose(
    enel: Enel, api: ClusterDouble, helm: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"settings": {"MONGODB_ENDPOINT": "mongodb://a:27017/?replicaSet=rs0"}}))
    api.ready_after = 3
    ran = enel("cluster", "up", "--no-forward", "--values", mine, "--set", "replicas=1")
    assert ran.code == 0, ran.err
    _, line = helm.read_text().splitlines()
    said = line.split()
    assert said[:3] == ["upgrade", "--install", "enel"]
    assert (Path(said[3]) / "Chart.yaml").is_file()
    assert said[4:8] == ["--namespace", "enel", "--create-namespace", "--values"]
    assert said[9:] == ["--values", str(mine), "--set", "replicas=1"]
    assert "mongodb" not in values(tmp_path)
    assert f"waits for pod {NAME}: started, not ready yet" in ran.err
    assert "ready: 1 of 1 replicas" in ran.out


def test_each_part_can_be_turned_off(enel: Enel, api: ClusterDouble, helm: Path, tmp_path: Path) -> None:
    api.become_empty()
    ran = enel("cluster", "up", "--no-mongodb", "--no-operator", "--no-forward")
    assert ran.code == 0, ran.err
    assert set(api.secrets) == {"enel-admin"}
    assert "spark-operator" not in helm.read_text()
    assert values(tmp_path).keys() == {"secretSettings"}


def test_our_operator_is_told_of_another_namespace(enel: Enel, api: ClusterDouble, helm: Path) -> None:
    api.operators = [operator(OPERATOR, "others")]
    assert enel("cluster", "up", "--no-forward").code == 0
    _, line, _ = helm.read_text().splitlines()
    assert line.endswith("--set spark.jobNamespaces={enel,others} --reset-then-reuse-values")


def test_kinds_of_resources_alone_are_no_operator(enel: Enel, api: ClusterDouble) -> None:
    api.operators = []
    assert "install spark-operator" in enel("cluster", "up", "--dry-run").out
    api.forbidden.add("/apis/apps/v1/deployments")
    ran = enel("cluster", "up", "--dry-run")
    assert "install spark-operator" not in ran.out, "whoever may not look leaves it alone"


def test_a_dry_run_says_the_steps_and_takes_none(enel: Enel, api: ClusterDouble, helm: Path) -> None:
    api.become_empty()
    ran = enel("cluster", "up", "--dry-run")
    assert ran.code == 0, ran.err
    assert [re.split(r" (?=enel|2\.)", line)[0] for line in ran.out.splitlines()] == [
        "create the namespace",
        "create the Secret",
        "create the Secret",
        "install spark-operator",
        "helm upgrade --install",
    ]
    assert json.loads(enel("cluster", "up", "--dry-run", "--json").out) == ran.out.splitlines()
    assert not helm.exists()
    assert not [each for each in api.asked if not each.startswith("GET")]


APACHE = ("--set", "settings.SPARK_OPERATOR=Apache")


@pytest.mark.parametrize("kinds", [True, False])
def test_apaches_operator_is_left_to_people(enel: Enel, api: ClusterDouble, helm: Path, kinds: bool) -> None:
    """Kubeflow's operator, which is there, does not look at its applications."""
    api.has_apache_kinds = kinds
    ran = enel("cluster", "up", "--no-forward", *APACHE)
    assert ran.code != 0
    said = " ".join(ran.err.split())
    assert "Apache's operator is not in the cluster, and this command installs Kubeflow's alone" in said
    assert "so that it watches enel: helm repo add spark" in said
    assert not helm.exists()
    assert not [each for each in api.asked if not each.startswith("GET")]
    assert enel("cluster", "up", "--dry-run", "--no-operator", *APACHE).code == 0


def test_apaches_operator_is_used_where_it_is(enel: Enel, api: ClusterDouble, helm: Path) -> None:
    api.has_apache_kinds = True
    api.operators = [operator("elsewhere", called="spark-kubernetes-operator")]
    ran = enel("cluster", "up", "--dry-run", *APACHE)
    assert ran.code == 0, ran.err
    assert "install spark-operator" not in ran.out
    assert "install spark-operator" in enel("cluster", "up", "--dry-run").out
