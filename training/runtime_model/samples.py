"""Samples: what the network sees of a run at a cut, from a prior and the run's finished jobs.

Jobs up to the cut are known with their metrics, later ones are predicted; pretraining, fine-tuning
and forecasts all build their samples here.

Axes: J jobs, S samples (a run at a cut, or a candidate).
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from training.evidence.change_points import OwnChangePoint, own_change_points
from training.evidence.graph import critical_path, hashed_context
from training.evidence.similarity import log_size
from training.evidence.table import Evidence, reduced
from training.runtime_model.laws import Prior, run_factor
from training.runtime_model.network import Batch
from training.statistics.arrays import Bools, Floats, Ints


def encode(
    prior: Prior,
    run: Evidence,
    row: int,
    cuts: Ints,
    start: Floats,
    end: Floats,
    *,
    adapt: bool = True,
    old: Floats | None = None,
    ahead: Bools | None = None,
) -> Batch:
    """Turn one run into samples.

    Args:
        prior: Fitted without this run.
        run: A table over the prior's graph that holds the run in `row`.
        cuts: Position of the last known job, -1 for none, (S,).
        start: Scale-out at the start of each job, (S, J); known jobs use the recorded one.
        end: Scale-out at its end, (S, J).
        adapt: Whether deviations of finished jobs carry over to later ones.
        old: Scale-out until a request takes effect, (S, J), whose delay may outlast a job;
            without it, every job's own start counts and delays end with the job.
        ahead: Jobs that are to be expected, (J,); by default all after the cut. One before it may still run.
    """
    graph, context, calibration = prior.evidence.graph, run.contexts[row], prior.calibration
    jobs, node_job, nodes = len(graph.job_ids), graph.node_job, np.arange(len(graph.names))
    ran = np.isfinite(run.log_job_runtime[row])
    known_job = ran & (np.arange(jobs) <= cuts[:, None])
    effective = np.where(ran, np.sqrt(run.start_scale_out[row] * run.end_scale_out[row]), 1.0)
    start = np.where(known_job, run.start_scale_out[row], start)
    end = np.where(known_job, run.end_scale_out[row], end)
    before = start if old is None else np.where(known_job, start, old)
    scale_outs = np.unique(np.concatenate([a.ravel() for a in (effective, start, end, before)]))
    expected = prior.expect(scale_outs, context)
    jobs_at = np.log(np.maximum(critical_path(graph, np.exp(expected.log_runtime)), 1e-3))

    def at(values: Floats) -> Ints:
        return np.searchsorted(scale_outs, values)

    column = np.arange(jobs)
    in_effect = np.where(known_job, effective, end)
    here = at(in_effect)
    here_nodes = here[:, node_job]
    of_samples = _own_change_points(prior, run, row, cuts)
    shift = _by_sample(OwnChangePoint.shift, of_samples, in_effect)
    log_runtime = expected.log_runtime[here_nodes, nodes] + shift[:, node_job]
    std = np.hypot(
        expected.std[here_nodes, nodes], _by_sample(OwnChangePoint.std, of_samples, in_effect)[:, node_job]
    )
    known_node = known_job[:, node_job] & np.isfinite(run.log_runtime[row])
    residual = np.where(known_node, np.nan_to_num(run.log_runtime[row]) - log_runtime, 0.0)
    usual = jobs_at[at(effective), column] + _by_sample(
        OwnChangePoint.shift, of_samples, np.tile(effective, (len(cuts), 1))
    )
    deviation = np.where(ran, np.nan_to_num(run.log_job_runtime[row]) - usual, 0.0)
    seconds = np.exp(np.nan_to_num(run.log_job_runtime[row], nan=-20.0))
    factor, last = np.zeros(len(cuts)), np.zeros(len(cuts))
    for cut in np.unique(cuts):
        finished = np.flatnonzero(known_job[cuts == cut][0])
        if adapt and len(finished):
            own = deviation[np.flatnonzero(cuts == cut)[0], finished]
            factor[cuts == cut] = run_factor(own, seconds[finished], calibration)
            last[cuts == cut] = np.clip(own[-1], -1.0, 1.0)
    future = np.arange(jobs) > cuts[:, None]
    if ahead is not None:
        future = np.broadcast_to(ahead, future.shape)

    measured = np.isfinite(run.metrics[row]).all(axis=-1)
    metrics_known = known_job[:, node_job] & measured
    similar_metrics = expected.metrics[here_nodes, nodes]
    values = np.nan_to_num(run.metrics[row])
    off = ((values - similar_metrics) * metrics_known[..., None]).sum(axis=1)
    off = off / (metrics_known.sum(axis=1) + 2.0)[:, None]
    metrics = np.where(metrics_known[..., None], values, np.maximum(similar_metrics + off[:, None], 0.0))

    moved = end - before
    delay = np.where(moved > 0, calibration.rescaling_out_seconds, calibration.rescaling_in_seconds)
    delay = np.where((moved != 0) & future, delay, 0.0)
    at_job = jobs_at[here, column] + shift
    old_ratio = jobs_at[at(before), column] + _by_sample(OwnChangePoint.shift, of_samples, before) - at_job
    recorded = np.nan_to_num(run.rescaling_ratio[row])
    ratio = np.where(known_job, recorded, np.minimum(delay * np.exp(-at_job), 1.0) * (start != end))
    if old is not None:  # one request before the first remaining job; what is left of it is carried on
        delay = delay * (np.cumsum(future, axis=1) == 1)
    tasks = graph.num_tasks
    width = end[:, node_job] * max(context.executor_cores, 1)
    waves = np.ceil(np.maximum(tasks, 1.0) / width)
    seen = prior.observed.sum(axis=0)
    wide = np.ones_like(log_runtime)
    features = np.stack(
        [
            (log_runtime + np.where(known_job, 0.0, factor[:, None])[:, node_job]) / 5.0,
            np.minimum(std, 2.0),
            np.maximum(log_runtime - at_job[:, node_job], -10.0) / 5.0,
            *(f for x in (start[:, node_job], end[:, node_job]) for f in (1 / x, np.log(x) / 4, x / 100)),
            np.log(waves) / 5.0,
            np.log1p(tasks) / 8.0 * wide,
            tasks / (waves * width),
            node_job / jobs * wide,
            log_size(context) / 15.0 * wide,
            graph.is_driver * wide,
            ratio[:, node_job],
            factor[:, None] * wide,
            last[:, None] * wide,
            known_node.astype(np.float64),
            seen / (seen + 5.0) * wide,
            known_job.mean(axis=1)[:, None] * wide,
            np.clip(residual, -1.5, 1.5) * (1.0 if adapt else 0.0),
        ],
        axis=-1,
    )
    carried = np.full(len(cuts), 0.0 if old is None else 1.0)

    def tensor(values: Floats | Bools) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

    return Batch(
        features=tensor(features),
        context=tensor(hashed_context(graph, context)[None]),
        context_of=torch.zeros(len(cuts), dtype=torch.long),
        log_runtime=tensor(log_runtime + factor[:, None]),
        deviation=tensor(np.clip(expected.deviation[here_nodes, nodes], -1.5, 1.5)),
        metrics=tensor(metrics),
        similar_metrics=tensor(similar_metrics),
        metrics_known=tensor(metrics_known),
        old_ratio=tensor(old_ratio),
        delay=tensor(delay),
        carried=tensor(carried),
        lead=tensor(np.broadcast_to(prior.timing.lead, future.shape)),
        future=tensor(future),
        target_node=tensor(np.broadcast_to(run.log_runtime[row], log_runtime.shape)),
        target_job=tensor(np.broadcast_to(run.log_job_runtime[row], future.shape)),
        target_metrics=tensor(np.broadcast_to(run.metrics[row], (len(cuts), *run.metrics[row].shape))),
    )


def _own_change_points(prior: Prior, run: Evidence, row: int, cuts: Ints) -> list[OwnChangePoint]:
    """Posteriors of the run's own change point at each sample's cut, (S,)."""
    change_point, own = prior.calibration.change_point, reduced(run, [row])
    by_cut = {
        int(cut): own_change_points(change_point, own, prior.usual_seconds, int(cut) + 1)[0]
        for cut in np.unique(cuts)
    }
    return [by_cut[int(cut)] for cut in cuts]


def _by_sample(
    value: Callable[[OwnChangePoint, Floats], Floats], of_samples: list[OwnChangePoint], scale_outs: Floats
) -> Floats:
    """Values of each sample's change point at its scale-outs, (S, J); 0 without one."""
    if not of_samples or not of_samples[0].change_point.jump:
        return np.zeros_like(scale_outs, dtype=np.float64)
    return np.stack([value(each, row) for each, row in zip(of_samples, np.log(scale_outs), strict=True)])


def concatenate(batches: Sequence[Batch]) -> Batch:
    """Join the samples of several runs."""
    parts = {name: torch.cat([getattr(b, name) for b in batches]) for name in Batch._fields}
    first = np.cumsum([0, *(len(b.context) for b in batches)])
    parts["context_of"] = torch.cat([b.context_of + int(i) for b, i in zip(batches, first, strict=False)])
    return Batch(**parts)
