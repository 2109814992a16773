"""Programs of others, by the PATH: whether they are there, and running them."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from app.cluster.failure import CannotBeDone

_STDERR = 2

_INSTALLATION = {
    "helm": "Install Helm 3.14 or newer: https://helm.sh/docs/intro/install",
    "kubectl": "Install it: https://kubernetes.io/docs/tasks/tools",
    "docker": "Install it: https://docs.docker.com/engine/install",
    "kind": "Install it: https://kind.sigs.k8s.io/docs/user/quick-start",
    "minikube": "Install it: https://minikube.sigs.k8s.io/docs/start",
}


def is_there(name: str) -> bool:
    """Whether the PATH has it."""
    return shutil.which(name) is not None


def require(names: Iterable[str]) -> None:
    """Raises CannotBeDone for the first that is not there, before anything is changed."""
    for name in names:
        located(name)


def located(name: str) -> str:
    """Where it is. Raises CannotBeDone."""
    binary = shutil.which(name)
    if binary is None:
        raise CannotBeDone(f"{name} is not on the PATH.", _INSTALLATION[name])
    return binary


def output_of(name: str, *arguments: str, advice: str) -> str:
    """Run it to its end; returns what it wrote. Raises CannotBeDone with its last line where it refuses."""
    done = subprocess.run([located(name), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        message = " ".join(lines[-1].split()) if lines else f"it ended with {done.returncode}"
        raise CannotBeDone(f"{name.capitalize()} refuses: {message}", advice)
    return done.stdout


def run_in_sight(name: str, *arguments: str, folder: Path, advice: str) -> None:
    """Run what takes minutes, in a folder; what it writes goes to stderr. Raises CannotBeDone."""
    done = subprocess.run([located(name), *arguments], stdout=_STDERR, cwd=folder, check=False)
    if done.returncode:
        raise CannotBeDone(f"{name.capitalize()} ended with {done.returncode}.", advice)
