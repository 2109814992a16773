"""What `enel cluster up` has to do: from what is there and what was asked for, the steps; pure."""

from collections.abc import Iterator
from typing import Any

from app.cluster.failure import CannotBeDone
from app.cluster.helm import APACHE_OPERATOR, DRIVER_ACCOUNT
from app.cluster.installation.chart_values import Json, value_at
from app.cluster.installation.credentials import ADMIN_KEYS, MONGODB_KEYS, admin_secret
from app.cluster.installation.images import Image, service_image, spark_image
from app.cluster.installation.local_cluster import LocalCluster
from app.cluster.installation.situation import Present, Wishes
from app.cluster.installation.steps import (
    BuildImage,
    ExtendOperator,
    InstallChart,
    InstallOperator,
    LoadImage,
    MakeNamespace,
    MakeSecret,
    Step,
)

_LOCAL_REQUESTS = {"cpu": "500m", "memory": "1Gi"}
"""Without a training, it needs no more; what a laptop offers would not do for what the chart asks for."""


def steps(present: Present, wishes: Wishes) -> list[Step]:
    """What to do, in this order.

    Raises:
        CannotBeDone: What is there does not fit what was asked for.
    """
    namespaces = dict.fromkeys((wishes.namespace, *wishes.application_namespaces))
    return [
        *(MakeNamespace(name) for name in namespaces if name not in present.namespaces),
        *_secrets(present, wishes),
        *_operator(present, wishes),
        *_images(present, wishes),
        InstallChart(wishes.release, wishes.namespace, defaults(present, wishes)),
    ]


def defaults(present: Present, wishes: Wishes) -> Json:
    """Values of the chart that follow from what is there; what was given replaces them."""
    values: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    if _brings_mongodb(present, wishes):
        values["mongodb"] = {"enabled": True, "existingSecret": wishes.mongodb_secret}
    if wishes.admin:
        name, key = wishes.admin
        values["secretSettings"] = {"ADMIN_TOKEN": {"name": name, "key": key}}
    if _brings_operator(present, wishes) or (present.operator and present.operator.is_ours):
        settings["SUBMISSION_ALLOWED_SERVICE_ACCOUNTS"] = [DRIVER_ACCOUNT]
    if present.local:
        values["resources"] = {"requests": _LOCAL_REQUESTS}
        settings["SUBMISSION_ALLOWED_IMAGES"] = [spark_image().tag]
    return {**values, "settings": settings} if settings else values


def _secrets(present: Present, wishes: Wishes) -> Iterator[Step]:
    wanted: dict[str, tuple[str, ...]] = {}
    if wishes.admin and not value_at(wishes.values, "secretSettings", "ADMIN_TOKEN"):
        wanted[admin_secret(wishes.release)] = ADMIN_KEYS
    if _brings_mongodb(present, wishes):
        wanted[wishes.mongodb_secret] = MONGODB_KEYS
    for name, keys in wanted.items():
        known = present.secrets.get(name)
        if known is None:
            yield MakeSecret(wishes.namespace, name, keys)
        elif missing := [key for key in keys if key not in known]:
            raise CannotBeDone(
                f"The Secret {name} in {wishes.namespace} lacks {', '.join(missing)}.",
                "Add them, or delete it if nothing was stored with it: then it is made anew.",
            )


def _brings_mongodb(present: Present, wishes: Wishes) -> bool:
    return not wishes.leaves_mongodb and not present.has_mongodb


def _brings_operator(present: Present, wishes: Wishes) -> bool:
    return wishes.operator and present.operator is None and not wishes.is_for_apache


def _operator(present: Present, wishes: Wishes) -> Iterator[Step]:
    there = present.operator
    if wishes.operator and there is None and wishes.is_for_apache:
        raise CannotBeDone(
            "SPARK_OPERATOR is apache, Apache's operator is not in the cluster, and this command installs"
            " Kubeflow's alone.",
            f"Install it, so that it watches {', '.join(wishes.application_namespaces)}:"
            " helm repo add spark https://apache.github.io/spark-kubernetes-operator,"
            f" helm install {APACHE_OPERATOR} spark/{APACHE_OPERATOR}; then this again."
            " --no-operator goes on without.",
        )
    if _brings_operator(present, wishes):
        yield InstallOperator(wishes.application_namespaces)
    elif wishes.operator and there and there.overlooks(wishes.application_namespaces):
        yield ExtendOperator(tuple(sorted(there.namespaces.union(wishes.application_namespaces))))


def _images(present: Present, wishes: Wishes) -> Iterator[Step]:
    local = present.local
    if local is None or not wishes.images:
        return
    for image in (spark_image(),) if wishes.has_own_image else (service_image(), spark_image()):
        if present.docker_images is not None:
            if image.tag not in present.docker_images:
                yield _build(image, local, "docker", present)
            yield LoadImage(image, local)
        elif image.tag not in present.cluster_images:
            yield _build(image, local, local.program, present)


def _build(image: Image, local: LocalCluster, program: str, present: Present) -> Step:
    if program == "kind":
        raise CannotBeDone(
            f"docker is not on the PATH, and kind loads {image.tag} from there.",
            "Install it: https://docs.docker.com/engine/install; `--no-images` leaves the images to you.",
        )
    if not present.is_checkout:
        raise CannotBeDone(
            f"There is no image {image.tag}, and it is built from a checkout, which this is not.",
            "Run it in a checkout; or name an image with --set image.repository=… and --no-images.",
        )
    return BuildImage(image, local, program)
