"""The loss of the runtime network, and what a network is worth on held-out samples."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from training.runtime_model.network import Batch, Prediction, RuntimeModel
from training.runtime_model.prepared import Prepared
from training.statistics.arrays import Floats, Ints


def loss_of(network: RuntimeModel, batch: Batch, prediction: Prediction) -> Tensor:
    """Huber loss of log runtimes (jobs, nodes, remaining runtime), squared error of metrics and context.

    Returns:
        Scalar.
    """

    def mean(values: Tensor, weight: Tensor) -> Tensor:
        return (values * weight).sum() / weight.sum().clamp_min(1e-6)

    def huber(predicted: Tensor, target: Tensor) -> Tensor:
        return nn.functional.huber_loss(predicted, target, reduction="none", delta=0.3)

    job_measured = batch.future * torch.isfinite(batch.target_job)
    target_job = torch.nan_to_num(batch.target_job, nan=-20.0)
    seconds = target_job.exp() * job_measured
    share = seconds / seconds.sum(dim=1, keepdim=True).clamp_min(1e-6)
    job = mean(
        huber(prediction.job_runtime.log(), target_job), job_measured * (0.2 / job_measured.shape[1] + share)
    )
    remaining = (prediction.job_runtime * job_measured).sum(dim=1).clamp_min(1e-3).log()
    some = (job_measured.sum(dim=1) > 0).float()
    total = mean(huber(remaining, seconds.sum(dim=1).clamp_min(1e-3).log()), some)
    future = batch.future @ (network.member > 0).float()
    node_measured = future * torch.isfinite(batch.target_node)
    node_weight = node_measured * (
        0.1 + torch.nan_to_num(batch.target_node, nan=-20.0).clamp_max(12).exp().sqrt()
    )
    node = mean(huber(prediction.node_log_runtime, torch.nan_to_num(batch.target_node)), node_weight)
    metric_measured = future.unsqueeze(-1) * torch.isfinite(batch.target_metrics)
    metrics = mean((prediction.metrics - torch.nan_to_num(batch.target_metrics)) ** 2, metric_measured)
    code = network.context.encode(batch.context)
    context = nn.functional.mse_loss(network.context.decode(code), batch.context)
    size = (prediction.correction**2).mean()
    return job + 2.0 * total + 0.3 * node + 0.5 * metrics + context + 0.5 * size


class Evaluation(NamedTuple):
    """Errors of a network on samples of runs that it was not trained on."""

    score: float
    """Score that a search minimises on held-out runs, lower is better: errors of remaining runtimes, jobs and
    metrics together."""
    errors: Floats
    """Log of predicted over measured remaining runtime, per sample."""
    metrics_error: float
    """Root mean squared error of log1p metrics of jobs that had not run; 0 without metrics."""


def evaluate(network: RuntimeModel, prepared: Prepared, samples: Ints) -> Evaluation:
    """Judge a network on samples of runs that it was not trained on.

    Args:
        samples: Indices of the samples, (S,).
    """
    batch = prepared.batch.select(torch.from_numpy(samples))
    network.eval()
    with torch.no_grad():
        prediction = network(batch)
    errors = prepared.errors(prediction.job_runtime, samples)
    measured = batch.future * torch.isfinite(batch.target_job)
    target = torch.nan_to_num(batch.target_job, nan=-20.0)
    weight = measured * (target.exp() + 0.1)
    job = ((prediction.job_runtime.log() - target).abs() * weight).sum() / weight.sum().clamp_min(1e-6)
    future = (batch.future @ (network.member > 0).float()).unsqueeze(-1)
    measured = future * torch.isfinite(batch.target_metrics)
    squares = (prediction.metrics - torch.nan_to_num(batch.target_metrics)) ** 2 * measured
    metrics = float((squares.sum() / measured.sum().clamp_min(1.0)).sqrt())
    relative = float(np.abs(np.expm1(np.minimum(errors, 3.0))).mean())
    return Evaluation(relative + 0.25 * float(job) + 0.1 * metrics, errors, metrics)
