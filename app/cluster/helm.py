"""Installing and removing charts, ours and the operator's, by the `helm` on the PATH."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.cluster.programs import output_of
from common.yaml_text import yaml_of

CHART = "deploy/helm/enel-service"

OPERATOR = "spark-operator"
"""Kubeflow's: its chart, the release, and the namespace that it is installed into."""
APACHE_OPERATOR = "spark-kubernetes-operator"
"""Apache's, which is left to people: its chart, and the name of what that installs."""
OPERATOR_VERSION = "2.5.2"
DRIVER_ACCOUNT = "spark"
"""The service account that the operator's chart makes for drivers in each namespace of applications."""

_OPERATOR_REPOSITORY = "https://kubeflow.github.io/spark-operator"
_ADVICE = "Look at --values and --set; deploy/README.md has an example."
_OPERATOR_ADVICE = "--no-operator leaves it to you; deploy/README.md says what it has to have."


@dataclass(frozen=True)
class Values:
    """What replaces the chart's own values."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[str] = ()
    """Replace `defaults`; the last one wins."""
    assignments: Sequence[str] = ()
    """Single values, `a.b=c` each; replace those of files."""


def check(release: str, namespace: str, values: Values) -> None:
    """Raises CannotBeDone where the chart does not take these values; asks no cluster."""
    _with_chart(("template", release), ("--namespace", namespace), values)


def install(release: str, namespace: str, values: Values) -> None:
    """Install the chart, or bring what is installed up to date.

    Raises:
        CannotBeDone: Nothing was changed, or Helm says what was.
    """
    _with_chart(("upgrade", "--install", release), _into(namespace), values)


def install_operator(namespaces: Iterable[str]) -> None:
    """Install Kubeflow's spark-operator. Raises CannotBeDone.

    Args:
        namespaces: That are there already, each of which gets a service account for drivers.
    """
    _upgrade_operator(namespaces, "--set", f"spark.serviceAccount.name={DRIVER_ACCOUNT}")


def extend_operator(namespaces: Iterable[str]) -> None:
    """Change whose applications it looks at, and nothing else. Raises CannotBeDone."""
    _upgrade_operator(namespaces, "--reset-then-reuse-values")


def uninstall(release: str, namespace: str) -> None:
    """Remove what was installed; volumes and kinds of resources stay. Raises CannotBeDone."""
    _helm("uninstall", release, "--namespace", namespace, "--ignore-not-found")


def _into(namespace: str) -> tuple[str, ...]:
    return "--namespace", namespace, "--create-namespace"


def _upgrade_operator(namespaces: Iterable[str], *options: str) -> None:
    listed = ",".join(namespaces)
    _helm(
        *("upgrade", "--install", OPERATOR, OPERATOR),
        *("--repo", _OPERATOR_REPOSITORY, "--version", OPERATOR_VERSION),
        *_into(OPERATOR),
        *("--set", f"spark.jobNamespaces={{{listed}}}"),
        *options,
        advice=_OPERATOR_ADVICE,
    )


def _with_chart(command: Sequence[str], options: Sequence[str], values: Values) -> None:
    from common.settings.group import bundled  # settings take a moment that other commands do without

    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "defaults.yaml"
        first.write_text(yaml_of([dict(values.defaults)]))
        files = [part for file in (str(first), *values.files) for part in ("--values", file)]
        single = [part for assignment in values.assignments for part in ("--set", assignment)]
        _helm(*command, str(bundled(CHART)), *options, *files, *single)


def _helm(*arguments: str, advice: str = _ADVICE) -> None:
    output_of("helm", *arguments, advice=advice)
