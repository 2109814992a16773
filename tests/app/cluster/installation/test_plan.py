"""What `enel cluster up` decides, from what is there and what was asked for."""

from typing import Any

import pytest

from app.cluster.failure import CannotBeDone
from app.cluster.installation.chart_values import given_values
from app.cluster.installation.credentials import ADMIN_KEYS, MONGODB_KEYS
from app.cluster.installation.images import service_image, spark_image
from app.cluster.installation.local_cluster import LocalCluster, local_cluster
from app.cluster.installation.plan import steps
from app.cluster.installation.situation import Operator, Present, Wishes
from app.cluster.installation.steps import ExtendOperator, InstallChart, InstallOperator, MakeSecret

SECRETS = {"enel-admin": frozenset(ADMIN_KEYS), "enel-mongodb-credentials": frozenset(MONGODB_KEYS)}
KIND = LocalCluster("kind", "lab")
BOTH = frozenset({service_image().tag, spark_image().tag})
EVERYTHING: dict[str, Any] = {
    "namespaces": frozenset({"enel", "jobs"}),
    "secrets": SECRETS,
    "operator": Operator(is_ours=False),
}


def wishes(*assignments: str, **options: Any) -> Wishes:
    return Wishes("enel", "enel", given_values([], assignments), **options)


def kinds(present: Present, asked: Wishes) -> list[str]:
    return [type(step).__name__ for step in steps(present, asked)]


def chart(present: Present, asked: Wishes) -> Any:
    [step] = [each for each in steps(present, asked) if isinstance(each, InstallChart)]
    return step.defaults


def test_where_everything_is_there_only_the_chart_is_installed() -> None:
    assert kinds(Present(**EVERYTHING), wishes()) == ["InstallChart"]


def test_an_empty_cluster_gets_everything_in_order() -> None:
    assert kinds(Present(), wishes()) == [
        *("MakeNamespace", "MakeSecret", "MakeSecret", "InstallOperator", "InstallChart"),
    ]
    assert kinds(Present(), wishes(mongodb=False, operator=False)) == [
        *("MakeNamespace", "MakeSecret", "InstallChart"),
    ]


@pytest.mark.parametrize(
    "asked",
    [
        wishes("settings.MONGODB_ENDPOINT=mongodb://a/?replicaSet=rs0"),
        wishes("mongodb.enabled=false"),
        wishes(mongodb=False),
    ],
)
def test_somebody_elses_mongodb_is_used(asked: Wishes) -> None:
    assert "mongodb" not in chart(Present(**EVERYTHING), asked)


def test_a_service_where_the_chart_looks_by_default_is_a_mongodb() -> None:
    assert "mongodb" not in chart(Present(**EVERYTHING, has_mongodb=True), wishes())


def test_secrets_that_are_named_are_not_made() -> None:
    asked = wishes(
        "secretSettings.ADMIN_TOKEN.name=mine,secretSettings.ADMIN_TOKEN.key=t,mongodb.existingSecret=own"
    )
    present = Present(secrets={"own": frozenset(MONGODB_KEYS)})
    assert not [step for step in steps(present, asked) if isinstance(step, MakeSecret)]
    assert asked.admin == ("mine", "t")
    assert chart(present, asked)["mongodb"]["existingSecret"] == "own"
    assert wishes("settings.ACCESS_CONTROL=open").admin is None


def test_a_secret_that_does_not_do_is_told() -> None:
    present = Present(secrets={**SECRETS, "enel-mongodb-credentials": frozenset({"password"})})
    with pytest.raises(CannotBeDone, match="lacks username, root-password, keyfile"):
        steps(present, wishes())


def test_applications_in_other_namespaces_get_them_and_an_operator_that_looks_there() -> None:
    asked = wishes("applications.namespaces={jobs,more}")
    found = steps(Present(namespaces=frozenset({"jobs"})), asked)
    assert [str(step) for step in found[:2]] == ["create the namespace enel", "create the namespace more"]
    assert InstallOperator(("jobs", "more")) in found


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (Operator(True, frozenset({"enel"})), []),
        (Operator(True, frozenset({"others"})), [ExtendOperator(("enel", "others"))]),
        (Operator(True), []),
        (Operator(False, frozenset({"others"})), []),
    ],
)
def test_our_operator_learns_of_further_namespaces(operator: Operator, expected: list[Any]) -> None:
    present = Present(**{**EVERYTHING, "operator": operator})
    assert [
        step for step in steps(present, wishes()) if isinstance(step, InstallOperator | ExtendOperator)
    ] == expected
    accounts = chart(present, wishes()).get("settings", {}).get("SUBMISSION_ALLOWED_SERVICE_ACCOUNTS")
    assert accounts == (["spark"] if operator.is_ours else None)


@pytest.mark.parametrize(
    ("local", "docker", "cluster", "expected"),
    [
        (None, frozenset(), frozenset(), []),
        (KIND, frozenset(), frozenset(), ["BuildImage", "LoadImage", "BuildImage", "LoadImage"]),
        (KIND, BOTH, frozenset(), ["LoadImage", "LoadImage"]),
        (LocalCluster("minikube", "minikube"), None, frozenset(), ["BuildImage", "BuildImage"]),
        (LocalCluster("minikube", "minikube"), None, BOTH, []),
    ],
)
def test_clusters_of_this_machine_get_images(local: Any, docker: Any, cluster: Any, expected: Any) -> None:
    present = Present(
        **EVERYTHING, local=local, docker_images=docker, cluster_images=cluster, is_checkout=True
    )
    assert kinds(present, wishes()) == [*expected, "InstallChart"]
    assert kinds(present, wishes(images=False)) == ["InstallChart"]
    assert ("resources" in chart(present, wishes())) == (local is not None)


def test_an_image_of_ones_own_replaces_only_that_of_the_service() -> None:
    present = Present(**EVERYTHING, local=KIND, docker_images=BOTH)
    found = steps(present, wishes("image.repository=registry.example.org/enel"))
    assert [str(step) for step in found[:-1]] == [f"load {spark_image().tag} into the kind cluster lab"]


def test_images_need_docker_and_a_checkout() -> None:
    with pytest.raises(CannotBeDone, match="docker is not on the PATH"):
        steps(Present(local=KIND, is_checkout=True), wishes())
    with pytest.raises(CannotBeDone, match="built from a checkout"):
        steps(Present(local=KIND, docker_images=frozenset()), wishes())


def test_who_keeps_a_cluster_is_in_the_name_of_its_context() -> None:
    assert local_cluster("kind-lab") == KIND
    assert local_cluster("minikube") == LocalCluster("minikube", "minikube")
    assert local_cluster("production") is local_cluster("") is None
