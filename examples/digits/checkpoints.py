"""Where a training goes on from: after each epoch its state is stored, by what the training is made of.

The key is made of data and hyperparameters, and of nothing that says which run it is or how many processes it
has: a training that was killed goes on when it is started again with the same arguments.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from stores import Store

_NAME = re.compile(r"epoch-(\d{5})\.pt")
_KEPT = 2
"""The latest, and the one before in case that it cannot be read."""

State = dict[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """Those of one training."""

    store: Store
    key: str

    @property
    def folder(self) -> str:
        return f"checkpoints/{self.key}"

    def save(self, epoch: int, state: State) -> None:
        """Store the state after an epoch; older ones go."""
        content = io.BytesIO()
        torch.save(state, content)
        self.store.write(f"{self.folder}/{_name(epoch)}", content.getvalue())
        for old in self.epochs()[:-_KEPT]:
            self.store.delete(f"{self.folder}/{_name(old)}")

    def load(self, epoch: int) -> State:
        """What was stored; only tensors, numbers and texts are read. Raises whatever is wrong with it."""
        content = self.store.read(f"{self.folder}/{_name(epoch)}")
        state: State = torch.load(io.BytesIO(content), weights_only=True)
        return state

    def latest(self) -> tuple[int, State] | None:
        """The latest that can be read, with its epoch."""
        for epoch in reversed(self.epochs()):
            try:
                return epoch, self.load(epoch)
            except Exception as error:
                print(f"the checkpoint of epoch {epoch} cannot be read: {error}", flush=True)
        return None

    def epochs(self) -> list[int]:
        """After which there is one, in order."""
        found = (_NAME.fullmatch(name) for name in self.store.names(self.folder))
        return sorted(int(match[1]) for match in found if match)

    def tell(self, run: str, name: str, said: Mapping[str, Any]) -> None:
        """Leave word for the driver, which alone can pass it on."""
        self.store.write(f"{self.folder}/{run}/{name}.json", json.dumps(said).encode())

    def told(self, run: str, name: str) -> dict[str, Any] | None:
        """The latest word; None where there is none."""
        try:
            said: dict[str, Any] = json.loads(self.store.read(f"{self.folder}/{run}/{name}.json"))
        except FileNotFoundError:
            return None
        return said

    def forget(self) -> None:
        """Remove them all: the training is through."""
        self.store.delete(self.folder)


def key_of(checksum: str, hyperparameters: Mapping[str, Any]) -> str:
    """SHA-256, shortened, of what the training is made of."""
    made_of = json.dumps([checksum, hyperparameters], sort_keys=True)
    return hashlib.sha256(made_of.encode()).hexdigest()[:32]


def _name(epoch: int) -> str:
    return f"epoch-{epoch:05}.pt"
