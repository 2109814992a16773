"""The loss of the runtime network, and what a network is worth on held-out samples."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from training.runtime_model.network import Batch, Prediction, RuntimeModel
from training.runtime_model.prepared import Prepared
from training.statistics.arrays import Floats, Ints

HUBER_DELTA = 0.3
"""Error of a log from which on it counts in proportion, not squared."""


class Targets(NamedTuple):
    """What predictions are compared with, and what each comparison counts; by the batch alone."""

    log_job: Tensor
    """Measured log runtimes, (S, J)."""
    job_weight: Tensor
    job_measured: Tensor
    """Whether it is to be predicted and was measured, (S, J), 0 or 1."""
    log_remaining: Tensor
    """Log of the measured runtimes together, (S,)."""
    remaining_weight: Tensor
    log_node: Tensor
    """(S, N)"""
    node_weight: Tensor
    metrics: Tensor
    """log1p of the ratios, (S, N, 5)."""
    metrics_weight: Tensor


def targets_of(network: RuntimeModel, batch: Batch) -> Targets:
    """Targets of a batch; the weights of each kind sum to 1."""
    return weighted(unweighted_targets(network, batch))


def unweighted_targets(network: RuntimeModel, batch: Batch) -> Targets:
    """Targets of samples, each by itself; weights do not sum to anything yet."""
    job_measured = batch.future * torch.isfinite(batch.target_job)
    log_job = torch.nan_to_num(batch.target_job, nan=-20.0)
    seconds = log_job.exp() * job_measured
    total = seconds.sum(dim=1)
    share = seconds / total.unsqueeze(1).clamp_min(1e-6)
    future = batch.future[:, network.node_job]
    node_measured = future * torch.isfinite(batch.target_node)
    usual = torch.nan_to_num(batch.target_node, nan=-20.0).clamp_max(12).exp().sqrt()
    return Targets(
        log_job,
        job_measured * (0.2 / job_measured.shape[1] + share),
        job_measured,
        total.clamp_min(1e-3).log(),
        (job_measured.sum(dim=1) > 0).float(),
        torch.nan_to_num(batch.target_node),
        node_measured * (0.1 + usual),
        torch.nan_to_num(batch.target_metrics),
        future.unsqueeze(-1) * torch.isfinite(batch.target_metrics),
    )


def weighted(targets: Targets) -> Targets:
    """The same targets with weights of which each kind sums to 1."""

    def shares(weight: Tensor) -> Tensor:
        return weight / weight.sum().clamp_min(1e-6)

    return targets._replace(
        job_weight=shares(targets.job_weight),
        remaining_weight=shares(targets.remaining_weight),
        node_weight=shares(targets.node_weight),
        metrics_weight=shares(targets.metrics_weight),
    )


def loss_of(network: RuntimeModel, batch: Batch, prediction: Prediction) -> Tensor:
    """Loss of predictions, and of the context's code.

    Returns:
        Scalar.
    """
    code = network.context.encode(batch.context)
    context = nn.functional.mse_loss(network.context.decode(code), batch.context)
    return prediction_loss(prediction, targets_of(network, batch)) + context


def prediction_loss(prediction: Prediction, targets: Targets) -> Tensor:
    """Huber loss of log runtimes (jobs, nodes, remaining runtime), squared error of metrics.

    Returns:
        Scalar.
    """

    def huber(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        loss = nn.functional.huber_loss(predicted, target, reduction="none", delta=HUBER_DELTA)
        return (loss * weight).sum()

    job = huber(prediction.job_runtime.log(), targets.log_job, targets.job_weight)
    remaining = (prediction.job_runtime * targets.job_measured).sum(dim=1).clamp_min(1e-3).log()
    total = huber(remaining, targets.log_remaining, targets.remaining_weight)
    node = huber(prediction.node_log_runtime, targets.log_node, targets.node_weight)
    metrics = ((prediction.metrics - targets.metrics).square() * targets.metrics_weight).sum()
    size = prediction.correction.square().mean()
    return job + 2.0 * total + 0.3 * node + 0.5 * metrics + 0.5 * size


class Evaluation(NamedTuple):
    """Errors of a network on samples of runs that it was not trained on."""

    score: float
    """Score that a search minimises on held-out runs, lower is better: errors of remaining runtimes, jobs and
    metrics together."""
    errors: Floats
    """Log of predicted over measured remaining runtime, per sample."""
    metrics_error: float
    """Root mean squared error of log1p metrics of jobs that had not run; 0 without metrics."""


def judge(network: RuntimeModel, prepared: Prepared, samples: Ints, prediction: Prediction) -> Evaluation:
    """Judge predictions for samples of runs that the network was not trained on.

    Args:
        network: Any over the graph; only its layout is read.
        samples: Indices of the samples, (S,).
    """
    batch = prepared.batch.select(torch.from_numpy(samples))
    errors = prepared.errors(prediction.job_runtime, samples)
    measured = batch.future * torch.isfinite(batch.target_job)
    target = torch.nan_to_num(batch.target_job, nan=-20.0)
    weight = measured * (target.exp() + 0.1)
    job = ((prediction.job_runtime.log() - target).abs() * weight).sum() / weight.sum().clamp_min(1e-6)
    future = batch.future[:, network.node_job].unsqueeze(-1)
    measured = future * torch.isfinite(batch.target_metrics)
    squares = (prediction.metrics - torch.nan_to_num(batch.target_metrics)) ** 2 * measured
    metrics = float((squares.sum() / measured.sum().clamp_min(1.0)).sqrt())
    relative = float(np.abs(np.expm1(np.minimum(errors, 3.0))).mean())
    return Evaluation(relative + 0.25 * float(job) + 0.1 * metrics, errors, metrics)
