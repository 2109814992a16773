"""Fine-tuning: a copy of the network follows the finished jobs of one run."""

from copy import deepcopy

import numpy as np
import torch

from training.evidence.table import Evidence
from training.runtime_model.artifact import TrainedModel
from training.runtime_model.loss import loss_of
from training.runtime_model.network import RuntimeModel
from training.runtime_model.samples import encode

FINE_TUNING_STEPS = 8

FINE_TUNING_CUTS = 4

FINE_TUNING_RATE = 2e-3


def fine_tune(model: TrainedModel, run: Evidence) -> tuple[RuntimeModel, int]:
    """Fit a copy of the network to a run's finished jobs.

    Samples are cuts before the last finished job, so that each step predicts jobs of this run from
    those before. Only the output layers and the node layer move; context code and attention stay. The
    copy is thrown away if it explains the jobs no better than the pretrained network.

    Args:
        run: Table over the model's graph, the run in its only row.
    Returns:
        The network to forecast with, and the number of steps that were kept; the model's own and 0 where
        laws serve.
    """
    if not model.network_serves:
        return model.network, 0
    finished = np.flatnonzero(np.isfinite(run.log_job_runtime[0]))
    if len(finished) < 2:
        return model.network, 0
    cuts = np.concatenate([[-1], finished[:-1]])
    cuts = cuts[np.unique(np.linspace(0, len(cuts) - 1, FINE_TUNING_CUTS).astype(int))]
    shape = (len(cuts), len(run.graph.job_ids))
    start = np.nan_to_num(run.start_scale_out[0], nan=float(run.end_scale_out[0, finished[-1]]))
    end = np.nan_to_num(run.end_scale_out[0], nan=float(run.end_scale_out[0, finished[-1]]))
    batch = encode(model.prior, run, 0, cuts, np.broadcast_to(start, shape), np.broadcast_to(end, shape))
    network = deepcopy(model.network)
    moving = [
        parameter
        for name, parameter in network.named_parameters()
        if not name.startswith(("context.", "attention.", "kind"))
    ]
    for parameter in moving:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(moving, lr=FINE_TUNING_RATE, weight_decay=0.0)
    losses = []
    for _ in range(FINE_TUNING_STEPS):
        loss = loss_of(network, batch, network(batch))
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        after = float(loss_of(network, batch, network(batch)))
    network.requires_grad_(False)
    if not np.isfinite(after) or after >= losses[0]:
        return model.network, 0
    return network, FINE_TUNING_STEPS
