from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.synthetic import make_history
from training.evidence.run_effects import estimate_run_effects
from training.evidence.table import Evidence, collect
from training.history.values import JobRecord, RunContext, RunRecord
from training.runtime_model.artifact import ArtifactInvalid, Hyperparameters, TrainedModel
from training.runtime_model.joint_forecast import (
    choose_share,
    forecast_remaining,
    joint_errors,
    left_out_errors,
)
from training.runtime_model.loop import pretrain
from training.runtime_model.prepared import prepare
from training.runtime_model.similar_runs import USUAL_STATE, LogRemainingRuntime, SimilarRuns
from training.statistics.predictive_std import PREDICTIVE_STD_FLOOR, error_stds

JOBS = 8
CONTEXT = RunContext("Recurring", data_size_mb=1000)
Law = Callable[[float], float]


def change_point(scale_out: float) -> float:
    return (200.0 if scale_out < 20 else 40.0) * scale_out**-0.3


def parallel(scale_out: float) -> float:
    return 100.0 / scale_out


def flat(scale_out: float) -> float:
    return 10.0


def make_run(
    number: int,
    scale_out: int,
    law: Law,
    *,
    drift: float = 1.0,
    noise: float = 0.05,
    context: RunContext = CONTEXT,
) -> RunRecord:
    random = np.random.default_rng(number)
    clock, jobs = 0.0, []
    for job_id in range(JOBS):
        seconds = law(scale_out) * drift * float(np.exp(noise * random.standard_normal()))
        jobs.append(JobRecord(job_id, clock, seconds, scale_out, scale_out, 0.0))
        clock += seconds
    return RunRecord(str(number), context, 1000.0 * number, tuple(jobs), clock)


def history(
    law: Law, scale_outs: Sequence[int] = (4, 6, 9, 12, 15, 18, 22, 25, 28, 32, 36)
) -> list[RunRecord]:
    return [make_run(n, x, law) for n, x in enumerate(scale_outs)]


def ask(
    runs: Sequence[RunRecord], run: RunRecord, finished: int, scale_out: int | None = None
) -> LogRemainingRuntime:
    evidence = collect(runs)
    so_far = collect([replace(run, jobs=run.jobs[:finished])], evidence.graph)
    then = float(scale_out or run.jobs[0].end_scale_out)
    ahead = np.arange(JOBS) >= finished
    similar, cut = SimilarRuns(evidence, estimate_run_effects(evidence)), finished - 1
    forecast = similar.forecast_remaining(
        so_far, cut, np.full((1, JOBS), then), ahead, similar.states(similar.deviations(so_far, cut), cut)
    )
    assert forecast is not None
    return forecast


def left(run: RunRecord, finished: int) -> float:
    return float(np.log(sum(job.runtime_seconds for job in run.jobs[finished:])))


@pytest.mark.parametrize("law", [change_point, parallel, flat])
@pytest.mark.parametrize("finished", [0, 1, 5])
@pytest.mark.parametrize("scale_out", [5, 16, 24, 30])
def test_whatever_the_law_between_earlier_runs(law: Law, finished: int, scale_out: int) -> None:
    run = make_run(99, scale_out, law)
    # Next to a change point it is seen smoothed; elsewhere it has to be close.
    tolerance = 0.6 if law is change_point and scale_out in (16, 24) else 0.25
    assert abs(ask(history(law), run, finished).log_mean[0] - left(run, finished)) < tolerance


def test_both_sides_of_a_change_point() -> None:
    run = make_run(99, 5, change_point)
    below, above = (ask(history(change_point), run, 0, x).log_mean[0] for x in (15, 28))
    assert below - above > 1.0


@pytest.mark.parametrize("drift", [0.7, 1.5, 2.0])
def test_a_run_that_drifts_is_followed(drift: float) -> None:
    runs = [
        make_run(n, x, parallel, drift=d)
        for n, (x, d) in enumerate(
            [(4, 1), (6, 1.4), (9, 0.8), (12, 1), (18, 1.8), (24, 1), (30, 0.9), (36, 1)]
        )
    ]
    run = make_run(99, 14, parallel, drift=drift)
    before, after = (abs(ask(runs, run, n).log_mean[0] - left(run, n)) for n in (0, 4))
    assert after < 0.7 * before


def test_far_from_all_runs_it_says_so() -> None:
    runs = history(parallel, (4, 5, 6, 4, 5, 6))
    near, far = (ask(runs, make_run(99, 5, parallel), 0, x) for x in (5, 36))
    assert far.log_std[0] > 1.3 * near.log_std[0]


def test_one_failed_run_is_no_trend() -> None:
    runs = [*history(parallel), make_run(50, 14, parallel, drift=20.0)]
    run = make_run(99, 14, parallel)
    assert abs(ask(runs, run, 0).log_mean[0] - left(run, 0)) < 0.3


def test_larger_data_takes_longer() -> None:
    twice = replace(CONTEXT, data_size_mb=2000)
    run = make_run(99, 12, parallel, context=twice)
    difference = (
        ask(history(parallel), run, 0).log_mean[0]
        - ask(history(parallel), make_run(99, 12, parallel), 0).log_mean[0]
    )
    assert 0.2 < difference < 1.0


def test_too_little_to_say() -> None:
    evidence = collect(history(parallel, (4,)))
    run = collect([make_run(99, 4, parallel)], evidence.graph)
    similar = SimilarRuns(evidence, estimate_run_effects(evidence))
    assert (
        similar.forecast_remaining(run, -1, np.full((2, JOBS), 4.0), np.ones(JOBS, bool), USUAL_STATE) is None
    )
    assert similar.left_out(-1, np.ones(JOBS, bool)) is None


def test_what_follows_the_cut_does_not_matter() -> None:
    evidence = collect(history(parallel))
    run = make_run(99, 12, parallel)
    ahead, then = np.arange(JOBS) > 2, np.full((1, JOBS), 12.0)
    similar = SimilarRuns(evidence, estimate_run_effects(evidence))
    parts = [collect([part], evidence.graph) for part in (run, replace(run, jobs=run.jobs[:3]))]
    whole, so_far = (
        similar.forecast_remaining(part, 2, then, ahead, similar.states(similar.deviations(part, 2), 2))
        for part in parts
    )
    assert whole is not None
    assert so_far is not None
    np.testing.assert_array_equal(whole.log_mean, so_far.log_mean)


def test_left_out_errors_are_those_of_a_history_without_the_run() -> None:
    runs = history(flat)
    prepared = prepare(runs)
    errors = left_out_errors(
        SimilarRuns(prepared.evidence, prepared.run_effects),
        prepared.run_of,
        prepared.cut_of,
        prepared.expected,
    )
    assert np.isfinite(errors).all()
    assert np.abs(errors).max() < 0.2
    assert prepared.similar_errors.shape == prepared.law_errors.shape


def test_joint_errors_and_the_share() -> None:
    law, similar = np.array([0.4, -0.4, 0.4, 0.2]), np.array([-0.2, 0.2, -0.2, np.nan])
    np.testing.assert_allclose(joint_errors(0.5, law, similar), [0.1, -0.1, 0.1, 0.2])
    assert choose_share(law, similar, 20) > 0.4
    assert choose_share(0.1 * law, similar, 20) < 0.3
    assert choose_share(law, similar, 2) == 0.0


def test_error_stds_cover_and_follow_the_cut() -> None:
    random = np.random.default_rng(0)
    cut = np.repeat(np.arange(-1, 9), 60)
    scale = np.where(cut < 4, 0.1, 0.4)
    stds = error_stds(scale * random.standard_normal(len(cut)), cut, 10, 60)
    assert stds[0] == pytest.approx(0.1, rel=0.3)
    assert stds[-1] == pytest.approx(0.4, rel=0.3)
    assert error_stds(np.zeros(5), np.arange(-1, 4), 5, 5) == (PREDICTIVE_STD_FLOOR,) * 5


def test_joined_with_the_network_a_change_point_is_seen() -> None:
    torch.set_num_threads(1)
    model = pretrain(history(change_point), Hyperparameters(), max_epochs=5)
    evidence = model.evidence
    errors = []
    for part in (model, replace(model, validation={**model.validation, "similar_runs_share": 0.0})):
        for x in (5, 8, 11, 14, 17, 23, 26, 30, 34):
            run = make_run(100 + x, x, change_point)
            remaining = forecast_remaining(
                part,
                part.network,
                _start(run, evidence),
                -1,
                *[np.full((1, JOBS), float(x))] * 2,
                np.ones(JOBS, bool),
            )
            errors.append(abs(float(np.log(remaining.remaining_seconds[0, 0])) - left(run, 0)))
    assert np.mean(errors[:9]) <= np.mean(errors[9:]) + 0.02
    assert np.mean(errors[:9]) < 0.25


def test_trust_survives_the_artifact_and_may_be_missing() -> None:
    model = pretrain(make_history(), Hyperparameters(), max_epochs=2)
    read = TrainedModel.from_files(model.to_files())
    assert read.trust == model.trust
    assert len(read.trust.log_error_stds) == len(model.evidence.graph.job_ids)
    older = {k: v for k, v in model.validation.items() if k not in ("log_error_stds", "similar_runs_share")}
    assert replace(model, validation=older).trust.share == 0.0
    damaged = replace(model, validation={**model.validation, "log_error_stds": ["much"]})
    with pytest.raises(ArtifactInvalid):
        TrainedModel.from_files(damaged.to_files())


def _start(run: RunRecord, evidence: Evidence) -> Evidence:
    return collect([replace(run, jobs=(), runtime_seconds=None)], evidence.graph)


def test_lateness_is_that_of_late_jobs_and_early_ones_are_no_excuse() -> None:
    runs = history(flat)
    evidence = collect(runs)
    similar = SimilarRuns(evidence, estimate_run_effects(evidence))
    usual = make_run(90, 12, flat)
    stalled, ahead = (replace_seconds(usual, 1, factor) for factor in (4.0, 0.25))
    late = {
        name: float(similar.lateness(similar.deviations(collect([run], evidence.graph), 3), np.array([3]))[0])
        for name, run in (("usual", usual), ("stalled", stalled), ("ahead", ahead))
    }
    # One job of four took four times as long: 7 jobs' time in 4; kernels see it a little smaller.
    assert late["stalled"] == pytest.approx(np.log(7 / 4), abs=0.15)
    assert late["usual"] < 0.08
    assert late["ahead"] < 0.08
    before = similar.lateness(similar.deviations(collect([stalled], evidence.graph), -1), np.array([-1]))
    assert before.tolist() == [0.0]


def test_lateness_of_earlier_runs_is_known_by_cut() -> None:
    runs = history(flat)
    runs[4] = replace_seconds(runs[4], 2, 4.0)
    evidence = collect(runs)
    similar = SimilarRuns(evidence, estimate_run_effects(evidence))
    before, after, other = similar.earlier_lateness(np.array([4, 4, 5]), np.array([1, 2, 2]))
    assert before < 0.1
    assert other < 0.1
    assert after == pytest.approx(np.log(6 / 3), abs=0.2)


def replace_seconds(run: RunRecord, job: int, factor: float) -> RunRecord:
    """The same run, one of whose jobs took so many times as long."""
    jobs, clock = [], 0.0
    for each in run.jobs:
        seconds = each.runtime_seconds * (factor if each.job_id == job else 1.0)
        jobs.append(replace(each, start_seconds=clock, runtime_seconds=seconds))
        clock += seconds
    return replace(run, jobs=tuple(jobs), runtime_seconds=clock)


def test_a_run_that_has_stalled_is_foreseen_less_surely_than_one_as_expected() -> None:
    """Some runs stall at the second job, and then at any later one; the others never."""
    runs = []
    for number, scale_out in enumerate((4, 6, 9, 12, 15, 18, 22, 25, 28, 32, 36) * 2):
        run = make_run(number, scale_out, flat)
        if number % 3 == 0:
            run = replace_seconds(run, 1, 3.0)
            for job in np.flatnonzero(np.random.default_rng(number).random(JOBS) < 0.4):
                run = replace_seconds(run, max(int(job), 2), 3.0)
        runs.append(run)
    model = pretrain(runs, Hyperparameters(), max_epochs=1)
    assert model.left_out is not None
    usual = make_run(90, 12, flat)
    stds = {}
    for name, run in (("usual", usual), ("stalled", replace_seconds(usual, 1, 3.0))):
        so_far = collect([replace(run, jobs=run.jobs[:3])], model.evidence.graph)
        then, ahead = np.full((1, JOBS), 12.0), np.arange(JOBS) > 2
        stds[name] = [
            forecast_remaining(known, model.network, so_far, 2, then, then, ahead).predictive_stds.log_std[0]
            for known in (model, replace(model, left_out=replace(model.left_out, lateness=None)))
        ]
    with_lateness, without = (stds["stalled"][of] / stds["usual"][of] for of in (0, 1))
    assert with_lateness > 1.3 * without
