from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.synthetic import CONTEXT, job_seconds, make_history, make_run
from training.evidence.graph import critical_path
from training.evidence.run_effects import estimate_run_effects
from training.evidence.table import Evidence, collect
from training.history.values import JobRecord, RunRecord
from training.runtime_model import expectations
from training.runtime_model.artifact import Hyperparameters, make_network
from training.runtime_model.laws import Calibration, Prior, fit_prior, log_shapes, run_factor
from training.runtime_model.network import Batch, RuntimeModel
from training.runtime_model.samples import encode

SCALE_OUTS = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0])


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    """Small tensors on many threads only wait for each other."""
    torch.set_num_threads(1)


def fit_to(evidence: Evidence, calibration: Calibration, without: int | None = None) -> Prior:
    """A prior of a history with its run effects."""
    return fit_prior(evidence, estimate_run_effects(evidence), calibration, without)


def job_runtimes(prior: Prior, scale_outs: np.ndarray = SCALE_OUTS) -> np.ndarray:
    expected = prior.expect(scale_outs, CONTEXT)
    return critical_path(prior.evidence.graph, np.exp(expected.log_runtime))


def samples(evidence: Evidence, without: int = 0, cut: int = 3) -> Batch:
    prior = fit_to(evidence, Calibration(), without=without)
    start, end = evidence.start_scale_out[without][None], evidence.end_scale_out[without][None]
    return encode(prior, evidence, without, np.array([cut]), start, end)


def test_law_shapes_start_at_one_and_never_exceed_it_unless_they_grow() -> None:
    shapes = log_shapes(np.tile(SCALE_OUTS, (2, 1)), np.array([24.0, 0.0]), 1.0)
    assert shapes[:, :, 0] == pytest.approx(np.zeros(shapes.shape[:2]))
    assert (np.diff(shapes[:, :-2], axis=-1) <= 1e-12).all()  # the last two are the growing powers


def test_laws_find_a_known_curve_between_and_beyond_the_measured_scale_outs() -> None:
    prior = fit_to(collect(make_history((2, 4, 6), noise=0.0)), Calibration())
    predicted = job_runtimes(prior)
    actual = np.array([[job_seconds(job, x) for job in range(12)] for x in SCALE_OUTS])
    assert np.abs(predicted / actual - 1).max() < 0.1


def test_what_was_expected_before_is_expected_again(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = collect(make_history())
    prior, larger = fit_to(evidence, Calibration()), replace(CONTEXT, data_size_mb=9000)
    monkeypatch.setattr(expectations, "KEPT_NODES", 10 * len(evidence.graph.names))
    for context, scale_outs in (
        (CONTEXT, SCALE_OUTS),
        (CONTEXT, np.array([6.0, 7.0, 2.0, 7.0])),
        (larger, SCALE_OUTS),
        (CONTEXT, np.array([2.5])),
    ):
        anew = fit_to(evidence, Calibration()).expect(scale_outs, context)
        for one, other in zip(prior.expect(scale_outs, context), anew, strict=True):
            assert one == pytest.approx(other, rel=1e-12)
    assert 1 <= len(prior._expected) <= 10


def test_one_run_gives_a_falling_curve_through_it() -> None:
    predicted = job_runtimes(fit_to(collect(make_history((4,))), Calibration())).sum(axis=1)
    measured = sum(job.runtime_seconds for job in make_history((4,))[0].jobs)
    assert predicted[3] == pytest.approx(measured, rel=0.02)
    assert (np.diff(predicted) < 0).all()
    assert predicted[0] < 4.5 * measured


def test_data_says_otherwise_and_the_curve_rises() -> None:
    def run(number: int, scale_out: int) -> RunRecord:
        return RunRecord(
            str(number), CONTEXT, 0.0, (JobRecord(0, 0.0, 10 * scale_out**0.4, scale_out, scale_out, 0.0),)
        )

    predicted = job_runtimes(
        fit_to(collect([run(i, x) for i, x in enumerate((2, 4, 8, 2, 4, 8))]), Calibration())
    )
    assert predicted[-1, 0] > 1.3 * predicted[1, 0]


def test_runtimes_grow_with_the_data() -> None:
    history = [
        make_run(i, x, factor=size / 2048, context=replace(CONTEXT, data_size_mb=size))
        for i, (x, size) in enumerate([(2, 1024), (4, 2048), (6, 4096), (3, 1024), (4, 4096)])
    ]
    prior = fit_to(collect(history), Calibration())
    small, large = (
        prior.expect(np.array([4.0]), replace(CONTEXT, data_size_mb=size)).log_runtime[0, 0]
        for size in (2048, 8192)
    )
    assert 0.6 < (large - small) / np.log(4) < 1.3


def test_a_runs_own_runtimes_do_not_reach_its_prior() -> None:
    history = make_history()
    slower = [*history[:2], make_run(2, 4, factor=3.0), *history[3:]]
    one, other = (fit_to(collect(runs), Calibration(), without=2) for runs in (history, slower))
    for a, b in zip(one.expect(SCALE_OUTS, CONTEXT), other.expect(SCALE_OUTS, CONTEXT), strict=True):
        assert np.array_equal(a, b)


def test_what_follows_the_cut_is_no_input() -> None:
    run = make_run(2, 4)
    changed = replace(run, jobs=(*run.jobs[:4], *make_run(77, 4, factor=9.0).jobs[4:]))
    history = make_history()
    one, other = (samples(collect([*history[:2], r, *history[3:]]), without=2) for r in (run, changed))
    for name in Batch._fields:
        if not name.startswith("target"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert not torch.equal(one.target_job, other.target_job)


def test_shapes_and_the_untrained_network_is_the_law() -> None:
    table = collect(make_history())
    batch = samples(table)
    network = make_network(table, Hyperparameters()).eval()
    prediction = network(batch)
    assert prediction.job_runtime.shape == (1, 12)
    assert prediction.node_log_runtime.shape == (1, 36)
    assert prediction.metrics.shape == (1, 36, 5)
    assert torch.equal(prediction.node_log_runtime, batch.log_runtime)
    assert torch.equal(prediction.metrics, batch.metrics)


def test_the_correction_is_bounded_and_known_metrics_stay() -> None:
    table = collect(make_history())
    network = make_network(table, Hyperparameters(correction_limit=0.2)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=50.0)
    batch = samples(table)
    prediction = network(batch)
    assert prediction.correction.abs().max() <= 0.2 + 1e-6
    known = batch.metrics_known > 0
    assert torch.equal(prediction.metrics[known], batch.metrics[known])


def test_metrics_of_the_previous_job_reach_later_predictions() -> None:
    table = collect(make_history())
    torch.manual_seed(0)
    network: RuntimeModel = make_network(table, Hyperparameters()).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.3)
    batch = samples(table, cut=3)
    known_job_3 = torch.zeros_like(batch.metrics)
    known_job_3[:, 9:12] = 1.0
    changed = network(batch._replace(metrics=batch.metrics + known_job_3))
    moved = (changed.metrics - network(batch).metrics).abs().sum(dim=-1)[0]
    assert moved[12:15].max() > 0  # the next job hears of it
    assert moved[:9].max() == 0  # those before do not


def test_overhead_only_where_the_scale_out_changes_and_at_most_to_the_old_runtime() -> None:
    table = collect(make_history((2, 3, 4, 6, 4)))
    prior = fit_to(table, Calibration(rescaling_out_seconds=4.0))
    network = make_network(table, Hyperparameters()).eval().requires_grad_(False)
    run = collect([RunRecord("now", CONTEXT, 0.0)], table.graph)
    shape = (1, 12)
    steady, old = np.full(shape, 6.0), np.full(shape, 2.0)
    rising = np.where(np.arange(12) == 0, 2.0, 6.0)[None]
    cut = np.array([-1])
    slow = network(encode(prior, run, 0, cut, old, old)).job_runtime[0]
    fast = network(encode(prior, run, 0, cut, steady, steady)).job_runtime[0]
    moved = network(encode(prior, run, 0, cut, rising, steady, old=old)).job_runtime[0]
    assert fast[0] < moved[0] < slow[0]
    during_the_job = 4.0 - prior.timing.lead[0]
    assert float(moved[0] - fast[0]) == pytest.approx(during_the_job * float(1 - fast[0] / slow[0]), rel=1e-3)
    assert torch.equal(moved[1:], fast[1:])  # the first job is longer than the delay

    late = fit_to(table, Calibration(rescaling_out_seconds=1000.0))
    never = network(encode(late, run, 0, cut, rising, steady, old=old)).job_runtime[0]
    assert never.tolist() == pytest.approx(slow.tolist(), rel=1e-3)


def test_run_factor_is_shrunk_and_needs_time_to_believe() -> None:
    calibration = Calibration(factor_noise=1.0, persistence=0.9)
    assert run_factor(np.array([]), np.array([]), calibration) == 0.0
    little = run_factor(np.array([0.05]), np.array([5.0]), calibration)
    more = run_factor(np.full(8, 0.05), np.full(8, 5.0), calibration)
    assert 0 < little < more < 0.05
    assert run_factor(np.array([0.4]), np.array([0.001]), calibration) < 0.1
    assert run_factor(np.full(4, np.log(1.5)), np.full(4, 5.0), calibration) > 0.27


def test_a_job_that_still_runs_before_the_cut_is_rescaled_too() -> None:
    """Jobs beside each other end in any order: what is ahead is not what has a larger number."""
    table = collect(make_history((2, 3, 4, 6, 4)))
    prior = fit_to(table, Calibration(rescaling_out_seconds=4.0))
    whole = make_run(9, 4)
    run = collect(
        [replace(whole, jobs=(*whole.jobs[:5], *whole.jobs[6:7]), runtime_seconds=None)], table.graph
    )
    ahead = np.isin(np.arange(12), (5, 7, 8, 9, 10, 11))
    start, end = np.full((1, 12), 4.0), np.full((1, 12), 8.0)
    batch = encode(prior, run, 0, np.array([6]), start, end, old=start, ahead=ahead)
    assert batch.future[0].bool().tolist() == ahead.tolist()
    assert np.flatnonzero(batch.delay[0].numpy()).tolist() == [5]
