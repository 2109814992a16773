"""Installing and removing charts, ours and the operator's, by the `helm` on the PATH."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from app.cluster.programs import output_of

CHART = "deploy/helm/enel-service"

OPERATOR = "spark-operator"
"""Kubeflow's: its chart, the release, and the namespace that it is installed into."""
OPERATOR_VERSION = "2.5.2"
DRIVER_ACCOUNT = "spark"
"""The service account that the operator's chart makes for drivers in each namespace of applications."""

_OPERATOR_REPOSITORY = "https://kubeflow.github.io/spark-operator"
_ADVICE = "Look at --values and --set; deploy/README.md has an example."
_OPERATOR_ADVICE = "--no-operator leaves it to you; deploy/README.md says what it has to have."


def install(
    release: str,
    namespace: str,
    defaults: Mapping[str, Any],
    files: Sequence[str],
    assignments: Sequence[str],
) -> None:
    """Install the chart, or bring what is installed up to date.

    Args:
        defaults: Values instead of the chart's own; files and assignments replace them.
        files: Of values, the last one wins.
        assignments: Single values, `a.b=c` each.
    Raises:
        CannotBeDone: Nothing was changed, or Helm says what was.
    """
    from common.settings.group import bundled  # settings take a moment that other commands do without

    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "defaults.yaml"
        first.write_text(yaml.safe_dump(dict(defaults)))
        options = [part for file in (str(first), *files) for part in ("--values", file)]
        options += [part for assignment in assignments for part in ("--set", assignment)]
        _helm("upgrade", "--install", release, str(bundled(CHART)), *_into(namespace), *options)


def install_operator(namespaces: Iterable[str]) -> None:
    """Install Kubeflow's spark-operator, or change whose applications it looks at. Raises CannotBeDone.

    Args:
        namespaces: That are there already, each of which gets a service account for drivers.
    """
    listed = ",".join(namespaces)
    _helm(
        *("upgrade", "--install", OPERATOR, OPERATOR),
        *("--repo", _OPERATOR_REPOSITORY, "--version", OPERATOR_VERSION),
        *_into(OPERATOR),
        *("--set", f"spark.jobNamespaces={{{listed}}}"),
        *("--set", f"spark.serviceAccount.name={DRIVER_ACCOUNT}"),
        advice=_OPERATOR_ADVICE,
    )


def uninstall(release: str, namespace: str) -> None:
    """Remove what was installed; volumes and kinds of resources stay. Raises CannotBeDone."""
    _helm("uninstall", release, "--namespace", namespace, "--ignore-not-found")


def _into(namespace: str) -> tuple[str, ...]:
    return "--namespace", namespace, "--create-namespace"


def _helm(*arguments: str, advice: str = _ADVICE) -> None:
    output_of("helm", *arguments, advice=advice)
