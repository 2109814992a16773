"""Remaining runtimes: the network's jobs, joined with what similar runs show of the whole.

The network, with its laws, predicts jobs and adds them up; `training.runtime_model.similar_runs` predicts the
sum. Errors of the two differ, so that their geometric mean is better than either; how much the
second one counts is learned from runs left out, and less where no earlier run was near. The same
left-out errors say how sure the joint forecast is at each cut (`training.statistics.predictive_std`).

Axes: S schedules, J jobs, P samples (a run at a cut).
"""

from typing import NamedTuple

import numpy as np
import torch

from training.evidence.graph import Graph
from training.evidence.table import Evidence
from training.runtime_model.artifact import TrainedModel
from training.runtime_model.network import REACH_JOBS, Batch, RuntimeModel
from training.runtime_model.samples import encode
from training.runtime_model.similar_runs import USUAL_STATE, SimilarRuns
from training.statistics.arrays import Bools, Floats, Ints
from training.statistics.predictive_std import PredictiveStds, local_predictive_stds

SHARES = (0.0, 0.25, 0.5, 0.75)
"""Choices for how far similar runs count in a joint forecast."""

CAUTION_RUNS = 2.0
"""Runs for which similar runs count half of what left-out errors suggest."""


class RemainingRuntime(NamedTuple):
    """Joint forecast of the remaining runtime of a run."""

    remaining_seconds: Floats
    """From each remaining job to the end of the run, (S, remaining jobs)."""
    predictive_stds: PredictiveStds
    """Standard deviations of the log of everything that is left, per schedule."""


def forecast_remaining(
    model: TrainedModel,
    network: RuntimeModel,
    run: Evidence,
    cut: int,
    start: Floats,
    end: Floats,
    jobs: Bools,
    *,
    adapt: bool = True,
    old: Floats | None = None,
) -> RemainingRuntime:
    """Forecast the remaining runtime of a run under some schedules.

    Args:
        model: Its laws and similar runs are used, and its trust in them.
        network: The model's, or a copy that was fine-tuned to the run.
        run: Table over the model's graph, the run in its only row.
        cut: Position of the last finished job, -1 before the run.
        start: Scale-out at the start of each job, (S, J).
        end: At its end, (S, J).
        jobs: Remaining jobs that are to be expected, (J,), at least one.
        adapt, old: As in `training.runtime_model.samples.encode`.
    """
    cuts = np.full(len(end), cut)
    batch = encode(model.prior, run, 0, cuts, start, end, adapt=adapt, old=old, ahead=jobs)
    runtime = _job_runtime(network, batch, model.evidence.graph, min(cut + 1, int(np.argmax(jobs))))
    remaining = model.prior.timing.remaining(runtime, jobs)
    future = batch.future[:, torch.from_numpy(model.evidence.graph.node_job)]
    seconds = batch.log_runtime.exp() * future
    disagreement = (batch.features[..., 1] * seconds).sum(dim=1) / seconds.sum(dim=1).clamp_min(1e-6)
    beyond = (disagreement - disagreement.min()).double().numpy()

    trust, similar_runs, left_out = model.trust, model.similar_runs, model.left_out
    is_asked = trust.share > 0 or (left_out is not None and left_out.lateness is not None)
    deviations = similar_runs.deviations(run, cut) if adapt and is_asked else None
    if left_out is not None:
        log_scale_outs = similar_runs.mean_log_scale_out(run, cut, end, jobs)
        late = None if deviations is None else float(similar_runs.lateness(deviations, cuts[:1])[0])
        local = local_predictive_stds(left_out, cut, log_scale_outs, late)
    else:
        log_error_std = np.full(len(end), trust.log_error_stds[min(cut + 1, len(trust.log_error_stds) - 1)])
        local = PredictiveStds(log_error_std, log_error_std, log_error_std)
    similar = None
    if trust.share > 0:
        state = USUAL_STATE if deviations is None else similar_runs.states(deviations, cut)
        similar = similar_runs.forecast_remaining(run, cut, end, jobs, state)
    if similar is not None:
        share = trust.share * np.minimum(1.0, similar.typical_std / similar.log_std) ** 2
        joint = share * (similar.log_mean - np.log(np.maximum(remaining[:, 0], 1e-3)))
        remaining = remaining * np.exp(joint)[:, None]
        unlike = np.sqrt(np.maximum(similar.log_std**2 - similar.typical_std**2, 0.0))
        beyond = np.hypot((1.0 - share) * beyond, share * unlike)
    return RemainingRuntime(remaining, local.widened(beyond))


def _job_runtime(network: RuntimeModel, batch: Batch, graph: Graph, first: int) -> Floats:
    """Seconds of each job, (S, J); 0 before the first that is asked about, and the few that it hears of."""
    since = max(first - REACH_JOBS, 0)
    runtime = np.zeros(batch.future.shape)
    if since:
        jobs = slice(since, len(graph.job_ids))
        network, batch = network.over(graph.part(jobs)), batch.part(jobs, graph.nodes_of(jobs))
    with torch.no_grad():
        runtime[:, since:] = network.job_runtime(batch).double().numpy()
    return runtime


def left_out_errors(similar: SimilarRuns, run_of: Ints, cut_of: Ints, ahead: Bools) -> Floats:
    """Left-out errors of similar runs: log of forecast over measured for every sample.

    Args:
        run_of: Run of each sample, (P,).
        cut_of: Position of its last known job, -1 for none, (P,).
        ahead: Jobs that were to be expected, (P, J).
    Returns:
        From the runs other than a sample's own, (P,); NaN where they say nothing.
    """
    errors = np.full(len(run_of), np.nan)
    asked: dict[tuple[int, bytes], list[int]] = {}
    for sample, cut in enumerate(cut_of):
        if ahead[sample].any():
            asked.setdefault((int(cut), ahead[sample].tobytes()), []).append(sample)
    for (cut, _), samples in asked.items():
        left_out = similar.left_out(cut, ahead[samples[0]])
        if left_out is None:
            continue
        at = {int(run): index for index, run in enumerate(left_out.rows)}
        for sample in samples:
            index = at.get(int(run_of[sample]))
            if index is not None:
                errors[sample] = left_out.error[index]
    return errors


def joint_errors(share: float, errors: Floats, similar: Floats) -> Floats:
    """Log errors of the joint forecast from those of its parts; NaN of similar runs leaves the other."""
    return np.asarray(np.where(np.isfinite(similar), errors + share * (similar - errors), errors))


def choose_share(errors: Floats, similar: Floats, runs: int) -> float:
    """Choose how far similar runs count in the joint forecast, by mean absolute relative errors.

    Args:
        errors: Log errors of the laws about runs left out, (P,).
        similar: Log errors of similar runs, NaN where they say nothing, (P,).
        runs: How many runs there are; 0 is chosen for fewer than three.
    Returns:
        Share, 0 to less than 1: with few runs, similar runs count less than errors suggest.
    """
    if runs < 3 or not np.isfinite(similar).any():
        return 0.0

    def loss(share: float) -> float:
        return float(np.minimum(np.abs(np.expm1(joint_errors(share, errors, similar))), 3.0).mean())

    return min(SHARES, key=loss) * runs / (runs + CAUTION_RUNS)
