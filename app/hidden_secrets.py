"""Secrets leave the environment of the process, which programs of the same user can read while it lives.

What `/proc/<pid>/environ` shows is what a process was started with. So the program starts itself anew, in
the same process, and hands the secrets to itself in a file that has no name.
"""

import json
import os
import re
import sys
from collections.abc import Iterator

from pydantic import SecretStr

from common.settings.settings import Settings

_HANDED_OVER = "ENEL_SECRETS_FD"

_HOLDS_PASSWORD = re.compile(r"://[^/@]*:[^/@]*@")


def hide_secrets() -> None:
    """Return in a process whose environment others can read without finding a secret.

    Settings find their variables all the same. Elsewhere than on Linux nothing is done.
    """
    if handed_over := os.environ.pop(_HANDED_OVER, ""):
        with os.fdopen(int(handed_over)) as file:
            os.environ.update(json.load(file))
        return
    secrets = {name: os.environ[name] for name in _secret_variables()}
    if not secrets or sys.platform != "linux":
        return
    descriptor = os.memfd_create("settings", 0)
    os.write(descriptor, json.dumps(secrets).encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    environment = {name: value for name, value in os.environ.items() if name not in secrets}
    environment[_HANDED_OVER] = str(descriptor)
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 - ourselves


def forget_settings() -> None:
    """Take what was read out of the environment, so that no child inherits it."""
    names = {name for name, _ in _fields()}
    for variable in list(os.environ):
        if variable.lower().removesuffix("_file") in names:
            del os.environ[variable]


def _secret_variables() -> Iterator[str]:
    """Variables that are set, and hold a secret: as a whole, or in an address."""
    fields = dict(_fields())
    for variable, value in os.environ.items():
        kind = fields.get(variable.lower())
        if value and kind is not None and (kind is SecretStr or _HOLDS_PASSWORD.search(value)):
            yield variable


def _fields() -> Iterator[tuple[str, object]]:
    """Name and type of every setting."""
    for group in Settings.model_fields.values():
        assert isinstance(group.annotation, type), "settings come in groups"
        for name, field in group.annotation.model_fields.items():
            yield name, field.annotation or str
