"""Installing and removing the chart, by the `helm` on the PATH, into the present context."""

import shutil
import subprocess
from collections.abc import Sequence

CHART = "deploy/helm/enel-service"


class HelmFailed(Exception):
    """Helm is not there, or refuses; `advice` says what to do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


def install(release: str, namespace: str, values: Sequence[str], assignments: Sequence[str]) -> None:
    """Install the chart, or bring what is installed up to date.

    Args:
        values: Files of values, the last one wins.
        assignments: Single values, `a.b=c` each.
    Raises:
        HelmFailed: Nothing was changed, or Helm says what was.
    """
    from common.settings.group import bundled  # settings take a moment that other commands do without

    chart = str(bundled(CHART))
    options = [part for file in values for part in ("--values", file)]
    options += [part for assignment in assignments for part in ("--set", assignment)]
    _helm("upgrade", "--install", release, chart, "--namespace", namespace, "--create-namespace", *options)


def uninstall(release: str, namespace: str) -> None:
    """Remove what was installed; volumes stay. Raises HelmFailed."""
    _helm("uninstall", release, "--namespace", namespace, "--ignore-not-found")


def _helm(*arguments: str) -> None:
    binary = shutil.which("helm")
    if binary is None:
        raise HelmFailed(
            "helm is not on the PATH.", "Install Helm 3.14 or newer: https://helm.sh/docs/intro/install"
        )
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        message = " ".join(lines[-1].split()) if lines else f"it ended with {done.returncode}"
        raise HelmFailed(
            f"Helm refuses: {message}", "Look at --values and --set; deploy/README.md has an example."
        )
