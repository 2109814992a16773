"""The rest of a run: the network's jobs, joined with what similar runs show of the whole.

The network, with its laws, predicts jobs and adds them up; `training.similar_runs` predicts the
sum. Errors of the two differ, so that their geometric mean is better than either; how much the
second one counts is learned from runs left out, and less where no earlier run was near. The same
left-out errors say how sure the joint forecast is at each cut (split conformal prediction: no shape
of the errors is assumed beyond what a log-normal's 90% interval needs).

Source: Angelopoulos and Bates, A Gentle Introduction to Conformal Prediction, arXiv:2107.07511.

Axes: S schedules, J jobs, P samples (a run at a cut).
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from training.features import Bools, Evidence, Floats, Ints
from training.model import RuntimeModel
from training.samples import encode
from training.similar_runs import SimilarRuns

if TYPE_CHECKING:
    from training.artifact import TrainedModel

SHARES = (0.0, 0.25, 0.5, 0.75)
"""Choices for how far similar runs count in a joint forecast."""

CAUTION_RUNS = 2.0
"""Runs for which similar runs count half of what left-out errors suggest."""

COVERED = 0.9
NORMAL_QUANTILE = 1.645
"""Of the two-sided interval that left-out errors are measured by, and its end in standard deviations."""

NEIGHBOUR_CUTS = 1 / 8
"""Width, as a share of all jobs, within which errors at other cuts count for a cut."""

NEIGHBOUR_WIDTH = 0.2
"""In ln x, within which errors at other scale-outs count for a candidate."""

NEIGHBOUR_FLOOR = 0.05
"""What an error counts however far away it is: where no run is near, all of them speak."""

LOG_ERROR_FLOOR = 0.03
"""Standard deviation of log remaining runtime below which no forecast claims to be."""

MAX_LOG_ERROR_STD = 1.5

STALL_STDS, STALL_LOG = 3.0, 0.2
"""A run that took longer than forecast by both, in usual errors and in log, has stalled: an executor
was lost, a node was slow."""

STALL_QUANTILES = (0.125, 0.375, 0.625, 0.875)
"""Of the sizes of stalls, what is passed on."""


class Trust(NamedTuple):
    """What left-out runs say of joint forecasts."""

    share: float
    """Weight of similar runs where earlier runs are near, 0 to 1."""
    log_error_stds: tuple[float, ...]
    """Standard deviation of log measured over predicted, after each job (the first: before the run)."""


class LeftOutErrors(NamedTuple):
    """What forecasts of left-out runs were off by, and where."""

    error: Floats
    """Log of forecast over measured, in units of how unusual the run was, (P,)."""
    cut: Ints
    """Position of the last job that was known, -1 for none, (P,)."""
    place: Floats
    """Mean ln x of what followed, weighted by usual seconds, (P,)."""
    run: Ints
    """(P,)"""


class Rest(NamedTuple):
    """Joint forecast of what is left of a run."""

    remaining_seconds: Floats
    """From each remaining job to the end of the run, (S, remaining jobs)."""
    log_error_std: Floats
    """Of everything that is left, (S,)."""
    avoidable_log_std: Floats
    """The same without stalls that befall runs at every scale-out alike, (S,)."""
    stalls: tuple[float, ...]
    """By how much those stalls delay a run, in log: equally likely sizes, ascending; empty without stalls."""


def forecast_rest(
    model: "TrainedModel",
    network: RuntimeModel,
    run: Evidence,
    cut: int,
    start: Floats,
    end: Floats,
    jobs: Bools,
    *,
    adapt: bool = True,
    old: Floats | None = None,
) -> Rest:
    """Forecast the rest of a run under some schedules.

    Args:
        model: Its laws and similar runs are used, and its trust in them.
        network: The model's, or a copy that was fine-tuned to the run.
        run: Table over the model's graph, the run in its only row.
        cut: Position of the last finished job, -1 before the run.
        start: Scale-out at the start of each job, (S, J).
        end: At its end, (S, J).
        jobs: Remaining jobs that are to be expected, (J,), at least one.
        adapt, old: As in `training.samples.encode`.
    """
    cuts = np.full(len(end), cut)
    batch = encode(model.prior, run, 0, cuts, start, end, adapt=adapt, old=old, ahead=jobs)
    with torch.no_grad():
        runtime = network(batch).job_runtime.double().numpy()
    remaining = model.prior.timing.remaining(runtime, jobs)
    future = batch.future[:, torch.from_numpy(model.evidence.graph.node_job)]
    seconds = batch.log_runtime.exp() * future
    spread = (batch.features[..., 1] * seconds).sum(dim=1) / seconds.sum(dim=1).clamp_min(1e-6)
    beyond = (spread - spread.min()).double().numpy()

    trust = model.trust
    if model.left_out is not None:
        local = local_spread(model.left_out, cut, model.similar_runs.place(run, cut, end, jobs), len(jobs))
    else:
        known = np.full(len(end), trust.log_error_stds[min(cut + 1, len(trust.log_error_stds) - 1)])
        local = Spread(known, known, ())
    unusual = 1.0
    similar = model.similar_runs.rest(run, cut, end, jobs, adapt=adapt) if trust.share > 0 else None
    if similar is not None:
        share = trust.share * np.minimum(1.0, similar.typical_std / similar.log_std) ** 2
        joint = share * (similar.log_mean - np.log(np.maximum(remaining[:, 0], 1e-3)))
        remaining = remaining * np.exp(joint)[:, None]
        unlike = np.sqrt(np.maximum(similar.log_std**2 - similar.typical_std**2, 0.0))
        unusual = similar.unusual
        beyond = np.hypot((1.0 - share) * beyond, share * unlike)
    everything, avoidable = (
        np.asarray(np.minimum(np.hypot(unusual * base, beyond), MAX_LOG_ERROR_STD))
        for base in (local.log_std, local.avoidable_log_std)
    )
    return Rest(remaining, everything, avoidable, tuple(unusual * size for size in local.stalls))


class SimilarErrors(NamedTuple):
    """What similar runs forecast of left-out runs, per sample."""

    error: Floats
    """Log of forecast over measured; NaN where they have nothing to say, (P,)."""
    unusual: Floats
    """How much less sure forecasts of that run are, (P,)."""


def left_out_errors(similar: SimilarRuns, run_of: Ints, cut_of: Ints, ahead: Bools) -> SimilarErrors:
    """Forecast every sample from the runs other than its own.

    Args:
        run_of: (P,)
        cut_of: (P,)
        ahead: Jobs that were to be expected, (P, J).
    """
    errors, unusual = np.full(len(run_of), np.nan), np.ones(len(run_of))
    asked: dict[tuple[int, bytes], list[int]] = {}
    for sample, cut in enumerate(cut_of):
        if ahead[sample].any():
            asked.setdefault((int(cut), ahead[sample].tobytes()), []).append(sample)
    for (cut, _), samples in asked.items():
        found = similar.left_out(cut, ahead[samples[0]])
        if found is None:
            continue
        at = {int(run): index for index, run in enumerate(found.rows)}
        for sample in samples:
            index = at.get(int(run_of[sample]))
            if index is not None:
                errors[sample], unusual[sample] = found.error[index], found.unusual[index]
    return SimilarErrors(errors, unusual)


def joint_errors(share: float, errors: Floats, similar: Floats) -> Floats:
    """Log errors of the joint forecast from those of its parts; NaN of similar runs leaves the other."""
    return np.asarray(np.where(np.isfinite(similar), errors + share * (similar - errors), errors))


def choose_share(errors: Floats, similar: Floats, runs: int) -> float:
    """How far similar runs count, by the mean absolute relative error over left-out runs."""
    if runs < 3 or not np.isfinite(similar).any():
        return 0.0

    def loss(share: float) -> float:
        return float(np.minimum(np.abs(np.expm1(joint_errors(share, errors, similar))), 3.0).mean())

    return min(SHARES, key=loss) * runs / (runs + CAUTION_RUNS)


class Spread(NamedTuple):
    """What left-out errors near a cut and places say, (S,) each."""

    log_std: Floats
    avoidable_log_std: Floats
    """Without stalls that happen at every place alike."""
    stalls: tuple[float, ...]
    """As in `Rest`."""


def local_spread(left_out: LeftOutErrors, cut: int, places: Floats, jobs: int) -> Spread:
    """Standard deviations whose 90% intervals cover left-out errors near a cut and places.

    As if one more run had been far off, among as many as there are near: where few runs say how sure a
    forecast is, it is less sure.

    Stalls are told apart from what usually happens: as many of them as there are at the place with the
    fewest would have been there with any scale-out.

    Args:
        cut: Position of the last finished job, -1 before the run.
        places: Mean ln x of what follows, (S,).
        jobs: Of a run.
    """
    gap = (left_out.cut - cut) / max(NEIGHBOUR_CUTS * jobs, 1.0)
    by_cut = np.exp(-0.5 * gap**2) + 1e-3
    by_place = np.exp(-0.5 * ((places[:, None] - left_out.place) / NEIGHBOUR_WIDTH) ** 2) + NEIGHBOUR_FLOOR
    weights = by_cut * by_place
    member = left_out.run[:, None] == np.arange(left_out.run.max() + 1)
    of_run = weights @ member
    runs = of_run.sum(axis=1) ** 2 / np.maximum((of_run**2).sum(axis=1), 1e-12)
    level = np.minimum(COVERED * (1.0 + 1.0 / runs), 1.0)
    size = np.abs(left_out.error)
    usual = float(np.median(size)) / 0.6745
    stalled = left_out.error < -max(STALL_STDS * usual, STALL_LOG)
    common = float((weights @ stalled / weights.sum(axis=1)).min()) if stalled.any() else 0.0
    order = np.argsort(size)
    total = np.cumsum(weights[:, order], axis=1)

    def quantile(level: Floats) -> Floats:
        at = (total < (level * total[:, -1])[:, None] - 1e-12).sum(axis=1)
        found = size[order][np.minimum(at, len(order) - 1)] / NORMAL_QUANTILE
        return np.asarray(np.maximum(found, LOG_ERROR_FLOOR))

    if not common:
        return Spread(quantile(level), quantile(level), ())
    sizes = np.sort(size[stalled])
    passed = np.cumsum(by_cut[stalled][np.argsort(size[stalled])])
    found = sizes[np.searchsorted(passed, np.array(STALL_QUANTILES) * passed[-1])]
    return Spread(quantile(level), quantile(level * (1.0 - common)), tuple(map(float, found)))


def error_stds(errors: Floats, cut_of: Ints, jobs: int, runs: int) -> tuple[float, ...]:
    """Standard deviations whose 90% intervals cover 90% of left-out errors, before and after each job.

    Errors at nearby cuts count, too. As many runs as there are say less than they seem to: the
    quantile that is read is raised as if one more run had been far off.
    """
    level = min(COVERED * (1.0 + 1.0 / max(runs, 1)), 1.0)
    found = []
    for position in range(jobs):
        gap = (cut_of + 1 - position) / max(NEIGHBOUR_CUTS * jobs, 1.0)
        weights = np.exp(-0.5 * gap**2) + 1e-3
        order = np.argsort(np.abs(errors))
        total = np.cumsum(weights[order])
        at = min(int(np.searchsorted(total, level * total[-1])), len(order) - 1)
        found.append(max(float(np.abs(errors)[order][at]) / NORMAL_QUANTILE, LOG_ERROR_FLOOR))
    return tuple(found)
