"""One of the processes that train together: on an executor, beside others like it.

Each has its share of the partitions; gradients are averaged (DistributedDataParallel over gloo). The first of
them stores checkpoints, and leaves word of its progress there: only the driver can write ENEL_PROGRESS_FILE.
"""

import hashlib
import io
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as parquet
import torch
from checkpoints import Checkpoints
from model import DigitNetwork
from stores import Store
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

_SAID_TIMES = 20
"""How often an image of feedback is in an epoch."""


@dataclass(frozen=True)
class Work:
    """What all processes of a training are told."""

    store: Store
    checkpoints: Checkpoints
    run: str
    """Which start of the training this is."""
    partitions: list[str]
    shape: tuple[int, int]
    hyperparameters: Mapping[str, Any]
    """`epochs`, `learning_rate`, `batch_size` (of all processes together), `seed`."""
    said_images: Tensor
    """Of which people have said what they show, (n, height, width); `said_labels` (n) is that."""
    said_labels: Tensor


def read_partition(store: Store, path: str, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Images (n, height, width) of bytes, and labels (n), of one partition."""
    table = parquet.read_table(io.BytesIO(store.read(path)), columns=["image", "label"])
    pixels = bytearray(b"".join(table["image"].to_pylist()))
    images = torch.frombuffer(pixels, dtype=torch.uint8).reshape(-1, *shape)
    return images, torch.tensor(table["label"].to_pylist())


def read_partitions(store: Store, paths: list[str], shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """All images and labels of several partitions."""
    parts = [read_partition(store, path, shape) for path in paths]
    return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])


def train(work: Work) -> None:
    """Train until the last epoch's checkpoint is stored. What is wrong is left for the driver, too."""
    distributed.init_process_group("gloo")
    try:
        _train(work, distributed.get_rank(), distributed.get_world_size())
    except Exception as error:
        _complain(work, error)
        raise
    finally:
        distributed.destroy_process_group()


def _complain(work: Work, error: Exception) -> None:
    """The first to complain has met the cause; others then only see that it is gone."""
    with suppress(Exception):
        if work.checkpoints.told(work.run, "error") is None:
            said = {"error": f"{type(error).__name__}: {error}", "rank": distributed.get_rank()}
            work.checkpoints.tell(work.run, "error", said)


def _train(work: Work, rank: int, processes: int) -> None:
    asked = work.hyperparameters
    torch.manual_seed(asked["seed"])
    network = DigitNetwork()
    optimizer = torch.optim.Adam(network.parameters(), lr=asked["learning_rate"])
    epoch, history = _restore(work, rank, network, optimizer)
    begun_at = epoch
    together = DistributedDataParallel(network)
    images, labels = _share(work, rank, processes)
    steps = _steps(len(labels), asked["batch_size"] // processes)
    while epoch < asked["epochs"]:
        epoch += 1
        began = time.monotonic()
        figures = torch.zeros(3)
        batch, turn = asked["batch_size"] // processes, (asked["seed"], epoch, rank)
        for chosen in _batches(len(labels), steps, batch, turn):
            figures += _step(together, optimizer, images[chosen], labels[chosen])
        distributed.all_reduce(figures)
        loss, right, count = figures.tolist()
        if rank == 0:
            said = {"epoch": epoch, "loss": loss / count, "training_accuracy": right / count}
            history = [*history, {**said, "seconds": time.monotonic() - began}]
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "history": history}
            work.checkpoints.save(epoch, state)
            told = {"epoch": epoch, "begun_at": begun_at, "history": history}
            work.checkpoints.tell(work.run, "progress", told)
    distributed.barrier()


def _share(work: Work, rank: int, processes: int) -> tuple[Tensor, Tensor]:
    """Images and labels that one process learns from. What people have said comes many times: it is little,
    and about what was wrong."""
    images, labels = read_partitions(work.store, work.partitions[rank::processes], work.shape)
    own = work.said_images[rank::processes]
    if not len(own):
        return images, labels
    again = _SAID_TIMES
    own_labels = work.said_labels[rank::processes]
    return torch.cat([images, own.repeat(again, 1, 1)]), torch.cat([labels, own_labels.repeat(again)])


def _restore(
    work: Work, rank: int, network: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, list[dict[str, float]]]:
    """The epoch to go on from, the same for all, and what was before."""
    found = work.checkpoints.latest() if rank == 0 else None
    epoch = torch.tensor(found[0] if found else -1)
    distributed.broadcast(epoch, 0)
    if int(epoch) < 0:
        return 0, []
    state = found[1] if found else work.checkpoints.load(int(epoch))
    network.load_state_dict(state["network"])
    if state["optimizer"]:
        optimizer.load_state_dict(state["optimizer"])
    return int(epoch), state["history"]


def _steps(images: int, batch: int) -> int:
    """Of an epoch; all processes make as many as the one with the most images."""
    steps = torch.tensor(-(-images // batch))
    distributed.all_reduce(steps, distributed.ReduceOp.MAX)
    return int(steps)


def _batches(images: int, steps: int, batch: int, turn: tuple[int, int, int]) -> Iterator[Tensor]:
    """Indices, in an order of its own for each seed, epoch and process; who has fewer images begins again."""
    mixed = hashlib.sha256(repr(turn).encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(mixed[:4], "big"))
    order = torch.randperm(images, generator=generator)
    for step in range(steps):
        yield order[torch.arange(step * batch, (step + 1) * batch) % images]


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> Tensor:
    """Learn from a batch; returns the sum of the loss, how many were right, and of how many."""
    optimizer.zero_grad()
    scores = network(images)
    loss = nn.functional.cross_entropy(scores, labels)
    loss.backward()
    optimizer.step()
    right = (scores.argmax(1) == labels).sum()
    return torch.tensor([loss.item() * len(labels), right.item(), len(labels)])
