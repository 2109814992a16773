"""Change points are found where there is one, and a run shows on which side of its own it is."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from prediction.forecasts.forecast import Forecast, ForecastRequest, forecast_with
from training.evidence.change_points import (
    NO_CHANGE_POINT,
    find_change_point,
    own_change_points,
    usual_seconds,
)
from training.evidence.table import collect
from training.history.values import JobRecord, RunContext, RunRecord
from training.runtime_model.artifact import ArtifactInvalid, Hyperparameters, TrainedModel
from training.runtime_model.loop import pretrain

JOBS = 6
TRIED = (36, 20, 28, 15, 31, 27, 23, 24, 22, 25)
SLOW, FAST = 80.0, 20.0


def make_run(number: int, scale_out: int, seconds: float, jobs: int = JOBS) -> RunRecord:
    """Jobs of about the same length, noisy by 3%."""
    noisy = seconds * np.exp(0.03 * np.random.default_rng(number).standard_normal(jobs))
    starts = np.concatenate([[0.0], np.cumsum(noisy)])
    records = tuple(JobRecord(i, starts[i], noisy[i], scale_out, scale_out, 0.0) for i in range(jobs))
    return RunRecord(f"run-{number}", RunContext("KMeans"), float(number), records, float(starts[-1]))


def with_change_point(tried: Sequence[int] = TRIED, at: int = 24) -> list[RunRecord]:
    return [make_run(number, x, FAST if x >= at else SLOW) for number, x in enumerate(tried)]


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return pretrain(with_change_point(), Hyperparameters(), max_epochs=1)


def forecast(model: TrainedModel, run: RunRecord, scale_out: int) -> Forecast:
    after = run.jobs[-1].job_id if run.jobs else -1
    return forecast_with(model, ForecastRequest({}, "", run, after, scale_out, (16, 21, 26, 33, 36), True))


def test_a_change_point_is_found() -> None:
    change_point = find_change_point(collect(with_change_point()))
    assert 22.5 < np.exp(change_point.log_scale_out) < 24.5
    assert change_point.jump == pytest.approx(np.log(FAST / SLOW), abs=0.15)


@pytest.mark.parametrize("noise", [0.02, 0.1])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_smooth_laws_have_none(power: float, noise: float) -> None:
    for seed in range(5):
        random = np.random.default_rng(seed)
        tried = random.choice(np.arange(2, 37), 12, replace=False)
        history = [
            make_run(number, int(x), 300.0 * float(x) ** -power * float(np.exp(noise * random.normal())))
            for number, x in enumerate(tried)
        ]
        assert find_change_point(collect(history)) == NO_CHANGE_POINT


def test_failed_runs_above_do_not_hide_it() -> None:
    failed = [make_run(20 + i, x, 4 * FAST) for i, x in enumerate((26, 30, 34))]
    assert (
        20
        < np.exp(
            find_change_point(
                collect([*with_change_point((*TRIED, 29, 32, 35, 18, 12)), *failed])
            ).log_scale_out
        )
        < 26
    )


def test_two_runs_are_no_change_point() -> None:
    assert find_change_point(collect(with_change_point((4, 30)))) == NO_CHANGE_POINT


def test_a_run_shows_its_own_change_point() -> None:
    history = collect(with_change_point((*TRIED, 26, 26, 25, 24, 23)))
    change_point, usual = find_change_point(history), usual_seconds(history)
    late = collect([make_run(30, 25, SLOW, jobs=2)], history.graph)
    unknown, slow = (
        own_change_points(change_point, late, usual, until=0)[0],
        own_change_points(change_point, late, usual)[0],
    )
    at = np.log(np.array([15.0, 25.0, 36.0]))
    assert unknown.below(at)[1] < 0.4
    assert slow.below(at)[1] > 0.9
    assert slow.below(at)[2] < 0.4
    assert (np.diff(slow.below(at)) <= 0).all()
    assert slow.std(at)[0] < slow.std(np.log(np.array([26.0])))[0]


def test_forecasts_keep_the_sides_apart(model: TrainedModel) -> None:
    found = forecast(model, RunRecord("new", RunContext("KMeans"), 50.0), 0)
    seconds = dict(zip(found.candidates, (row[0] for row in found.remaining_seconds), strict=True))
    assert min(seconds[16], seconds[21]) > 0.75 * JOBS * SLOW
    assert max(seconds[33], seconds[36]) < 1.5 * JOBS * FAST


def test_a_run_that_is_slow_above_the_usual_change_point_is_sent_further_up(model: TrainedModel) -> None:
    found = forecast(model, make_run(30, 26, SLOW, jobs=2), 26)
    seconds = dict(zip(found.candidates, (row[0] for row in found.remaining_seconds), strict=True))
    assert seconds[26] > 1.4 * seconds[36]
    usual = forecast(model, make_run(31, 26, FAST, jobs=2), 26)
    assert usual.remaining_seconds[2][0] < 0.5 * seconds[26]


def test_a_change_point_survives_the_artifact(model: TrainedModel) -> None:
    read = TrainedModel.from_files(model.to_files())
    assert read.calibration.change_point == model.calibration.change_point
    assert read.calibration.change_point != NO_CHANGE_POINT
    assert read.left_out is not None
    assert model.left_out is not None
    for name in ("error", "lateness"):
        np.testing.assert_allclose(getattr(read.left_out, name), getattr(model.left_out, name), rtol=1e-5)


def test_models_of_before_are_read_and_left_out_errors_of_other_runs_are_not(model: TrainedModel) -> None:
    files = model.to_files()
    tensors = load(files["weights.safetensors"])
    slowness = torch.zeros_like(tensors["left_out.error"])
    older = {**files, "weights.safetensors": save({**tensors, "left_out.slowness": slowness})}
    read = TrainedModel.from_files(older)
    assert forecast(read, make_run(31, 26, FAST, jobs=2), 26).predictive_stds
    without = {name: value for name, value in tensors.items() if name != "left_out.lateness"}
    read = TrainedModel.from_files({**files, "weights.safetensors": save(without)})
    assert read.left_out is not None
    assert read.left_out.lateness is None
    assert forecast(read, make_run(31, 26, FAST, jobs=2), 26).predictive_stds
    for bad, said in ((-1.0, "not late"), (float("nan"), "not finite")):
        damaged = {**tensors, "left_out.lateness": torch.full_like(tensors["left_out.lateness"], bad)}
        with pytest.raises(ArtifactInvalid, match=said):
            TrainedModel.from_files({**files, "weights.safetensors": save(damaged)})
    for name, value in (("cut", JOBS), ("cut", -2), ("run", len(model.evidence.contexts)), ("run", -1)):
        damaged = {**tensors, f"left_out.{name}": torch.full_like(tensors[f"left_out.{name}"], value)}
        with pytest.raises(ArtifactInvalid, match="left-out errors"):
            TrainedModel.from_files({**files, "weights.safetensors": save(damaged)})
