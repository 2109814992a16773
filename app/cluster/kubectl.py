"""The way in, by the `kubectl` on the PATH."""

import subprocess
from collections.abc import Iterator

from app.cluster.failure import CannotBeDone
from app.cluster.programs import located

_FORWARDING = "Forwarding from 127.0.0.1:"


def forwarded(namespace: str, service: str, port: int, target: int) -> Iterator[str]:
    """Addresses on this machine that lead to a service, as long as somebody asks for further ones.

    Args:
        port: On this machine; 0 takes a free one.
    Raises:
        CannotBeDone: kubectl is not there, or ended by itself.
    """
    command = [
        *(located("kubectl"), "port-forward", "--namespace", namespace),
        *(f"service/{service}", f"{port or ''}:{target}"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
        assert forwarding.stdout is not None
        try:
            for line in forwarding.stdout:
                if line.startswith(_FORWARDING):
                    yield f"http://127.0.0.1:{line.removeprefix(_FORWARDING).split()[0]}"
        except BaseException:  # whoever asks no further ends it, too
            forwarding.terminate()
            raise
    if forwarding.returncode:
        raise CannotBeDone("kubectl ended.", "The line above says why.")


def reading_of_secret(namespace: str, name: str, key: str) -> str:
    """The command with which a person reads a key of a Secret."""
    template = f'{{{{index .data "{key}" | base64decode}}}}'
    return f"kubectl --namespace {namespace} get secret {name} --output go-template='{template}'"
