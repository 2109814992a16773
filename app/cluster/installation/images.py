"""The images of this version: what they are called, whether docker has them, building and loading them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version

from app.cluster.installation.local_cluster import LocalCluster
from app.cluster.programs import output_of, run_in_sight
from app.version import VERSION

_INDEX = "PIP_EXTRA_INDEX_URL"
_BUILD_ADVICE = f"The lines above say why; {_INDEX} in the environment names a further index of packages."
_DOCKER_ADVICE = "Is docker running? `--no-images` leaves the images to you."


@dataclass(frozen=True)
class Image:
    tag: str
    dockerfile: str
    """In a checkout."""


def service_image() -> Image:
    return Image(f"enel-service:{VERSION}", "deploy/Dockerfile")


def spark_image() -> Image:
    """What applications run on."""
    return Image(f"enel-spark:{version('pyspark')}", "deploy/spark/Dockerfile")


def known_to_docker(images: Iterable[Image]) -> frozenset[str]:
    """Tags of those that docker has. Raises CannotBeDone where it does not say."""
    return frozenset(
        image.tag
        for image in images
        if output_of("docker", "image", "ls", "--quiet", image.tag, advice=_DOCKER_ADVICE).strip()
    )


def known_to_minikube(images: Iterable[Image], cluster: LocalCluster) -> frozenset[str]:
    """Tags of those that minikube's nodes have. Raises CannotBeDone where it does not say."""
    listed = output_of("minikube", "image", "ls", "--profile", cluster.name, advice="`minikube start`")
    there = {line.strip().removeprefix("docker.io/library/") for line in listed.splitlines()}
    return frozenset(image.tag for image in images if image.tag in there)


def build(image: Image, cluster: LocalCluster, program: str) -> None:
    """Build it from the checkout, with docker or inside of minikube. Raises CannotBeDone."""
    from common.settings.group import PROJECT_ROOT

    options = ("--file", image.dockerfile, "--tag", image.tag)
    if program == "docker":
        build_args = ("--build-arg", _INDEX) if os.environ.get(_INDEX) else ()
        arguments = ("build", *options, *build_args, ".")
    else:
        arguments = ("image", "build", *options, "--profile", cluster.name, ".")
    run_in_sight(program, *arguments, folder=PROJECT_ROOT, advice=_BUILD_ADVICE)


def load(image: Image, cluster: LocalCluster) -> None:
    """Give the cluster's nodes what docker has. Raises CannotBeDone."""
    output_of(cluster.program, *cluster.loading(image.tag), advice="--no-images leaves the images to you.")
