"""Fine-tuning: a copy of the network follows the finished jobs of one run."""

import numpy as np
import torch
from numpy.typing import NDArray

from training.evidence.table import Evidence
from training.runtime_model.artifact import TrainedModel
from training.runtime_model.closed_form import FineTuningLoss
from training.runtime_model.loss import targets_of
from training.runtime_model.network import REACH_JOBS, TUNED, Batch, RuntimeModel
from training.runtime_model.samples import encode

FINE_TUNING_STEPS = 8

FINE_TUNING_CUTS = 4

FINE_TUNING_RATE = 2e-3

FINE_TUNING_JOBS = 128
"""Of a long run, those that it is at: what is long past, or far ahead, takes time and says nothing new."""

_AHEAD = FINE_TUNING_JOBS // 4

_MEAN_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-8
"""Of Adam: how long gradients and their squares are remembered."""


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
    batch = samples_of(model, run)
    if batch is None:
        return model.network, 0
    network, graph, jobs = model.network.copy_to_tune(), run.graph, window(run)
    tuned = network
    if jobs.stop - jobs.start < len(graph.job_ids):
        network, batch = network.over(graph.part(jobs)), batch.part(jobs, graph.nodes_of(jobs))
    with torch.no_grad():
        inputs, targets = network.inputs(batch), targets_of(network, batch)
    loss = FineTuningLoss(network, batch, inputs, targets)
    layers = _Layers(network)
    losses = []
    for step in range(FINE_TUNING_STEPS):
        losses.append(loss.with_gradients(layers.values, layers.gradients))
        layers.step(step + 1)
    after = loss.value(layers.values)
    if not np.isfinite(after) or after >= losses[0]:
        return model.network, 0
    return tuned, FINE_TUNING_STEPS


def window(run: Evidence) -> slice:
    """Positions of the jobs that fine-tuning looks at; all of them in a run that is not long.

    Args:
        run: With at least one finished job.
    """
    jobs = len(run.graph.job_ids)
    finished = int(np.flatnonzero(np.isfinite(run.log_job_runtime[0]))[-1])
    end = min(max(finished + 1 + _AHEAD, FINE_TUNING_JOBS), jobs)
    return slice(max(end - FINE_TUNING_JOBS, 0), end)


def samples_of(model: TrainedModel, run: Evidence) -> Batch | None:
    """Cuts of a run before its last finished job, as samples; None where it has fewer than two."""
    finished = np.flatnonzero(np.isfinite(run.log_job_runtime[0]))
    if len(finished) < 2:
        return None
    cuts, first = np.concatenate([[-1], finished[:-1]]), window(run).start
    if first:  # the first jobs of a window do not hear of those before
        cuts = cuts[cuts >= min(first + REACH_JOBS - 1, cuts[-1])]
    cuts = cuts[np.unique(np.linspace(0, len(cuts) - 1, FINE_TUNING_CUTS).astype(int))]
    shape = (len(cuts), len(run.graph.job_ids))
    start = np.nan_to_num(run.start_scale_out[0], nan=float(run.end_scale_out[0, finished[-1]]))
    end = np.nan_to_num(run.end_scale_out[0], nan=float(run.end_scale_out[0, finished[-1]]))
    return encode(model.prior, run, 0, cuts, np.broadcast_to(start, shape), np.broadcast_to(end, shape))


class _Layers:
    """The layers of a network that fine-tuning moves, by Adam, and in place.

    Source: Kingma and Ba, Adam: A Method for Stochastic Optimization, arXiv:1412.6980.
    """

    def __init__(self, network: RuntimeModel) -> None:
        moving = {name: value for name, value in network.named_parameters() if name.startswith(TUNED)}
        self._weights = np.concatenate([value.detach().numpy().ravel() for value in moving.values()])
        self._gradients = np.zeros_like(self._weights)
        self._mean, self._square = np.zeros_like(self._weights), np.zeros_like(self._weights)
        self.values: dict[str, NDArray[np.float32]] = {}
        self.gradients: dict[str, NDArray[np.float32]] = {}
        begin = 0
        for name, value in moving.items():
            end = begin + value.numel()
            self.values[name] = self._weights[begin:end].reshape(value.shape)
            self.gradients[name] = self._gradients[begin:end].reshape(value.shape)
            value.data = torch.from_numpy(self.values[name])
            begin = end

    def step(self, number: int) -> None:
        """Take the step of this number, from 1 on; gradients are 0 again."""
        self._mean += (1.0 - _MEAN_DECAY) * (self._gradients - self._mean)
        self._square += (1.0 - _SQUARE_DECAY) * (self._gradients**2 - self._square)
        scale = np.sqrt(self._square / (1.0 - _SQUARE_DECAY**number)) + _EPSILON
        self._weights -= FINE_TUNING_RATE / (1.0 - _MEAN_DECAY**number) * self._mean / scale
        self._gradients[:] = 0.0
