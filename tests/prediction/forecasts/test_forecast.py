from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch

from prediction.forecasts import forecast as forecast_module
from prediction.forecasts.forecast import Forecast, ForecastRequest, LoadedModels, forecast
from tests.support.synthetic import CONTEXT, first_jobs, make_history, make_run
from training.history.values import RunRecord
from training.runtime_model.artifact import ArtifactInvalid, Hyperparameters, TrainedModel
from training.runtime_model.loop import pretrain
from training.runtime_model.network import RuntimeModel

CANDIDATES = (1, 2, 3, 4, 5, 6)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    torch.set_num_threads(1)
    return pretrain(make_history(), Hyperparameters(), max_epochs=30).to_files()


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_module, "MODELS", LoadedModels())


def request(
    files: dict[str, bytes],
    run: RunRecord,
    jobs: int,
    *,
    current: int | None = None,
    candidates: tuple[int, ...] = CANDIDATES,
    fine_tune: bool = True,
) -> ForecastRequest:
    known = first_jobs(run, jobs)
    after = known.jobs[-1].job_id if jobs else -1
    current = run.jobs[0].end_scale_out if current is None else current
    return ForecastRequest(files, "key", known, after, current, candidates, fine_tune)


def error(run: RunRecord, jobs: int, result: Forecast) -> float:
    passed = run.jobs[jobs - 1].end_seconds if jobs else 0.0
    assert run.runtime_seconds is not None
    return result.remaining_seconds[0][0] / (run.runtime_seconds - passed) - 1


@pytest.mark.parametrize("scale_out", [1, 2, 3, 5, 6, 8])
@pytest.mark.parametrize("jobs", [0, 1, 5, 10])
def test_remaining_runtime_also_at_scale_outs_never_tried(
    files: dict[str, bytes], scale_out: int, jobs: int
) -> None:
    run = make_run(300 + scale_out, scale_out)
    assert abs(error(run, jobs, forecast(request(files, run, jobs, candidates=(scale_out,))))) < 0.12


@pytest.mark.parametrize("scale_out", [2, 5])
def test_a_drifting_run_is_followed_with_fine_tuning(files: dict[str, bytes], scale_out: int) -> None:
    run = make_run(400 + scale_out, scale_out, factor=1.5)
    without, tuned = (
        abs(error(run, 4, forecast(request(files, run, 4, candidates=(scale_out,), fine_tune=flag))))
        for flag in (False, True)
    )
    assert without > 0.25
    assert tuned < 0.12


def test_fine_tuning_does_not_hurt_normal_runs(files: dict[str, bytes]) -> None:
    errors = []
    for scale_out in (2, 3, 5, 6):
        run = make_run(500 + scale_out, scale_out)
        for flag in (False, True):
            errors.append(
                abs(error(run, 5, forecast(request(files, run, 5, candidates=(scale_out,), fine_tune=flag))))
            )
    assert np.mean(errors[1::2]) < np.mean(errors[0::2]) + 0.015


def test_one_value_per_candidate_and_remaining_job(files: dict[str, bytes]) -> None:
    result = forecast(request(files, make_run(1, 3), 4))
    assert result.job_ids == tuple(range(4, 12))
    assert result.candidates == CANDIDATES
    table = np.array(result.remaining_seconds)
    assert table.shape == (6, 8)
    assert (np.diff(table, axis=1) < 0).all()  # less is left from later jobs on
    assert (np.diff(table[:, 1], axis=0) < 0).all()  # and with more executors
    assert (table > 0).all()
    assert not result.reason
    assert len(result.predictive_stds) == 6


def test_changing_the_scale_out_costs_time(files: dict[str, bytes]) -> None:
    run = make_run(1, 2)
    moved = forecast(request(files, run, 4, current=2, candidates=(6,), fine_tune=False))
    already = forecast(request(files, run, 4, current=6, candidates=(6,), fine_tune=False))
    assert moved.remaining_seconds[0][0] > already.remaining_seconds[0][0] + 1.0


def test_before_the_run_the_current_scale_out_means_nothing(files: dict[str, bytes]) -> None:
    run = make_run(1, 2)
    one, other = (forecast(request(files, run, 0, current=current)) for current in (0, 6))
    assert one.remaining_seconds == other.remaining_seconds
    assert one.job_ids == tuple(range(12))


def test_all_candidates_in_one_pass(files: dict[str, bytes]) -> None:
    sizes = []
    plain = RuntimeModel.job_runtime

    def counted(self: RuntimeModel, batch):  # type: ignore[no-untyped-def]
        sizes.append(len(batch.features))
        return plain(self, batch)

    candidates = tuple(range(4, 37))
    with patch.object(RuntimeModel, "job_runtime", counted):
        forecast(request(files, make_run(1, 4), 5, candidates=candidates, fine_tune=False))
    assert sizes == [33]


def test_the_cached_model_stays_bit_identical(files: dict[str, bytes]) -> None:
    laws = TrainedModel.from_files(files)
    files = replace(laws, weights={**laws.weights, "gate": torch.ones(())}).to_files()
    run = make_run(1, 3, factor=1.5)
    first = forecast(request(files, run, 6))
    assert first.epochs > 0
    model = forecast_module.MODELS.get("key", {})  # no files are needed: it is cached
    assert model.to_files() == files
    fresh = TrainedModel.from_files(files).network.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in model.network.state_dict().items())
    again = forecast(request(files, run, 6))
    assert again.remaining_seconds == first.remaining_seconds


def test_the_cache_forgets_the_least_recently_used(files: dict[str, bytes]) -> None:
    cache = LoadedModels(size=2)
    a = cache.get("a", files)
    cache.get("b", files)
    assert cache.get("a", {}) is a
    cache.get("c", files)
    assert cache.get("a", {}) is a
    with pytest.raises(ArtifactInvalid):
        cache.get("b", {})


def test_jobs_after_the_last_known_one_have_no_forecast(files: dict[str, bytes]) -> None:
    result = forecast(request(files, make_run(1, 3), 12))
    assert result.job_ids == ()
    assert result.remaining_seconds == ((),) * 6
    assert "11" in str(result.reason)
    assert result.predictive_stds == ()


def test_jobs_that_history_does_not_know(files: dict[str, bytes]) -> None:
    run = make_run(1, 3)
    strange = replace(run, jobs=tuple(replace(job, job_id=100 + job.job_id) for job in run.jobs[:3]))
    result = forecast(ForecastRequest(files, "key", strange, 4, 3, CANDIDATES))
    assert result.job_ids == tuple(range(5, 12))
    assert np.isfinite(result.remaining_seconds).all()


def test_gaps_in_job_ids() -> None:
    history = make_history(job_ids=(0, 1, 4, 5, 9))
    files = pretrain(history, Hyperparameters(), max_epochs=3).to_files()
    run = make_run(1, 3, job_ids=(0, 1, 4, 5, 9))
    result = forecast(ForecastRequest(files, "gaps", first_jobs(run, 3), 4, 3, (3,)))
    assert result.job_ids == (5, 9)
    between = forecast(ForecastRequest(files, "gaps", first_jobs(run, 2), 3, 3, (3,)))
    assert between.job_ids == (4, 5, 9)


def test_metrics_of_jobs_after_the_asked_one_do_not_matter(files: dict[str, bytes]) -> None:
    run = make_run(1, 3)
    short = ForecastRequest(files, "key", first_jobs(run, 4), 3, 3, CANDIDATES)
    assert forecast(replace(short, run=run)).remaining_seconds == forecast(short).remaining_seconds


def test_no_candidates(files: dict[str, bytes]) -> None:
    assert forecast(request(files, make_run(1, 3), 2, candidates=())).reason


def test_another_data_size(files: dict[str, bytes]) -> None:
    small, large = (
        forecast(
            ForecastRequest(
                files, "key", RunRecord("", replace(CONTEXT, data_size_mb=size), 0.0), -1, 4, (4,)
            )
        )
        for size in (2048, 4096)
    )
    assert 1.2 < large.remaining_seconds[0][0] / small.remaining_seconds[0][0] < 2.5


def test_a_model_of_one_run_is_sane() -> None:
    files = pretrain(make_history((4,)), Hyperparameters()).to_files()
    result = forecast(ForecastRequest(files, "one", RunRecord("", CONTEXT, 0.0), -1, 0, CANDIDATES))
    totals = [row[0] for row in result.remaining_seconds]
    assert totals == sorted(totals, reverse=True)
    assert totals[3] == pytest.approx(make_history((4,))[0].runtime_seconds, rel=0.05)
    assert min(std.log_std for std in result.predictive_stds) >= 0.25


def test_damaged_artifact(files: dict[str, bytes]) -> None:
    with pytest.raises(ArtifactInvalid):
        forecast(request({"model.json": files["model.json"]}, make_run(1, 3), 2))
