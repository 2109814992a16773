"""Carrying the steps of an installation out, one after the other."""

from collections.abc import Callable, Iterable, Sequence

from app.cluster import helm
from app.cluster.installation import images
from app.cluster.installation.changing import make_namespace, make_secret
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
from app.cluster.present import PresentCluster


def programs_of(steps: Iterable[Step]) -> list[str]:
    """Programs of others that have to be there."""
    return list(dict.fromkeys(step.program for step in steps if step.program))


def carry_out(
    steps: Sequence[Step],
    cluster: PresentCluster,
    release: str,
    files: Sequence[str],
    assignments: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """Do what they say; each is told when it begins. What is done stays done where a later one fails.

    Args:
        files: Of values for the chart, and `assignments` single ones, as Helm takes them.
    Raises:
        CannotBeDone: A program refuses.
        ClusterUnreachable: The API server refuses.
    """
    for step in steps:
        if isinstance(step, InstallChart):  # mistakes in values show before anything is changed
            helm.check(step.release, step.namespace, helm.Values(step.defaults, files, assignments))
    for step in steps:
        say(str(step))
        match step:
            case MakeNamespace():
                make_namespace(cluster, step)
            case MakeSecret():
                make_secret(cluster, release, step)
            case InstallOperator():
                helm.install_operator(step.namespaces)
            case ExtendOperator():
                helm.extend_operator(step.namespaces)
            case BuildImage():
                images.build(step.image, step.cluster, step.program)
            case LoadImage():
                images.load(step.image, step.cluster)
            case InstallChart():
                helm.install(step.release, step.namespace, helm.Values(step.defaults, files, assignments))
