"""How children enter a Ray cluster that is there already; nothing here imports Ray.

A token travels as a file: what a process was started with, others of its user can read.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from common.processes.private_files import open_private

ADDRESS = "RAY_ADDRESS"
_OF_RAY = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")
"""How whoever started the service may have said it, in Ray's own words."""


@dataclass(frozen=True)
class RayAccess:
    """A cluster, and what it wants to see.

    Attributes:
        address: Such as ray-head:6379; empty: there is none.
        token: Empty: none, or one that RAY_AUTH_TOKEN_PATH names.
    """

    address: str = ""
    token: SecretStr = field(default_factory=lambda: SecretStr(""))

    def variables(self, folder: Path) -> dict[str, str]:
        """The environment of a child that has this folder for itself; the token lies there. Blocks."""
        if not self.address:
            return {}
        if not self.token.get_secret_value():
            return {ADDRESS: self.address, **given()}
        token_file = folder / "ray-token"
        with open_private(token_file) as file:
            file.write(self.token.get_secret_value().encode())
        return {ADDRESS: self.address, **by_file(token_file)}

    def how_it_was_lost(self, last_words: str) -> str:
        """Of a child without a last message: Ray ends processes whose cluster's head stays away."""
        return (
            f"the Ray cluster of {ADDRESS} ({self.address}) was lost; the last that was written: {last_words}"
        )


def given() -> dict[str, str]:
    """What the service's own environment says of it."""
    return {name: os.environ[name] for name in _OF_RAY if name in os.environ}


def by_file(token_file: Path) -> dict[str, str]:
    """A token that is in this file."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token_file)}


def why_not_connected(error: Exception) -> str:
    """Why there is no cluster, in words; Ray says nothing of a token that is missing or wrong."""
    text = f"{type(error).__name__}: {error}"
    if "No node info" in str(error.__cause__):
        return f"{text} (No node of that cluster is among the processes here: docs/serving.md says why.)"
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return f"{text} (Where that cluster wants a token, set RAY_AUTH_TOKEN.)"
    return f"{text} (The token of RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH has to be that cluster's.)"
