"""The runtime of whole applications from few earlier runs, on synthetic contexts."""

import json

import numpy as np
import pytest

from training.context_model.assumptions import Assumptions, law_free
from training.context_model.covariance import Covariance, Repeats
from training.context_model.encoding import Encoding
from training.context_model.model import ContextModel, fit_context_model
from training.context_model.questions import EarlierRun, NoPrediction, Query, RuntimePrediction

SCALE_OUTS = (2, 4, 6, 8, 10, 12)
MACHINES = {"a.large": (4.0, 16.0), "a.xlarge": (8.0, 32.0), "b.xlarge": (8.0, 16.0)}


def seconds(size: float, share: float, scale_out: float, cores: float = 8.0) -> float:
    """Amdahl's law over all cores, a power law of the data size."""
    return 20.0 * size**0.8 * (share + (1.0 - share) * 16.0 / (scale_out * cores))


def context(size: float, share: float, machine: str = "a.xlarge") -> dict[str, float | str]:
    cores, memory = MACHINES[machine]
    return {"input_gb": size, "skew": share, "machine": machine, "cores": cores, "memory": memory}


def history(noise: float = 0.02, repetitions: int = 2, seed: int = 0) -> list[EarlierRun]:
    generator = np.random.default_rng(seed)
    return [
        EarlierRun(context(size, share), x, seconds(size, share, x) * float(generator.lognormal(0.0, noise)))
        for size in (5.0, 10.0, 20.0, 40.0)
        for share in (0.05, 0.2, 0.5)
        for x in SCALE_OUTS
        for _ in range(repetitions)
    ]


def fitted(runs: list[EarlierRun], **options: object) -> ContextModel:
    return fit_context_model(runs, resources=("cores", "memory"), sizes=("input_gb",), **options)  # type: ignore[arg-type]


def predicted(model: ContextModel, *queries: Query) -> RuntimePrediction:
    prediction = model.predict(queries)
    assert isinstance(prediction, RuntimePrediction)
    assert np.isfinite(prediction.log_mean).all()
    assert (prediction.log_std > 0).all()
    assert (prediction.run_log_std >= prediction.log_std).all()
    return prediction


def test_an_unseen_context_between_known_ones_is_predicted() -> None:
    queries = [Query(context(14.0, 0.3), x) for x in SCALE_OUTS]
    truth = np.log([seconds(14.0, 0.3, x) for x in SCALE_OUTS])
    prediction = predicted(fitted(history()), *queries)
    assert np.abs(prediction.log_mean - truth).max() < 0.15
    assert prediction.log_std.max() < 0.3


def test_two_runs_of_a_context_pull_the_whole_curve() -> None:
    slow = 1.6
    own = [EarlierRun(context(14.0, 0.3), x, slow * seconds(14.0, 0.3, x)) for x in (4, 10)]
    truth = np.log([slow * seconds(14.0, 0.3, x) for x in (6, 8)])
    prediction = predicted(fitted(history() + own), *(Query(context(14.0, 0.3), x) for x in (6, 8)))
    assert np.abs(prediction.log_mean - truth).max() < 0.08


def test_without_any_feature_a_power_law_is_recovered() -> None:
    runs = [EarlierRun({}, x, 1000.0 * x**-0.7) for x in (4, 12, 28, 48)]
    prediction = predicted(fit_context_model(runs), Query({}, 8), Query({}, 20), Query({}, 60))
    assert prediction.log_mean == pytest.approx(np.log(1000.0) - 0.7 * np.log([8, 20, 60]), abs=0.05)


def test_intervals_cover() -> None:
    inside = []
    for seed in range(3):
        runs = history(noise=0.04, repetitions=1, seed=seed)
        for left_out in range(0, 12, 3):
            rows = range(6 * left_out, 6 * left_out + 6)
            model = fitted([run for row, run in enumerate(runs) if row not in rows])
            about = [runs[row] for row in rows]
            prediction = predicted(model, *(Query(run.context, run.scale_out) for run in about))
            gap = np.abs(np.log([run.runtime_seconds for run in about]) - prediction.log_mean)
            inside += list(gap <= 1.645 * prediction.run_log_std)
    assert np.mean(inside) >= 0.8


def test_one_run_is_enough_and_far_away_is_unsure() -> None:
    model = fit_context_model([EarlierRun({"input_gb": 10.0}, 4, 100.0)])
    near, far = Query({"input_gb": 10.0}, 4), Query({"input_gb": 1000.0}, 40)
    prediction = predicted(model, near, far)
    assert prediction.log_mean[0] == pytest.approx(np.log(100.0), abs=0.05)
    assert prediction.log_std[1] > 3 * prediction.log_std[0]


def test_one_scale_out_is_enough_to_tell_contexts_apart() -> None:
    runs = [EarlierRun({"input_gb": size}, 4, 10.0 * size) for size in (1.0, 2.0, 4.0, 8.0)]
    prediction = predicted(fit_context_model(runs), Query({"input_gb": 3.0}, 4), Query({"input_gb": 3.0}, 8))
    assert prediction.log_mean[0] == pytest.approx(np.log(30.0), abs=0.1)
    assert prediction.log_mean[1] < prediction.log_mean[0]
    assert prediction.log_std[1] > prediction.log_std[0]


def test_an_unseen_machine_is_unsure_and_counts_by_its_resources() -> None:
    model = fitted(history())
    known, half = predicted(model, Query(context(10.0, 0.2), 4)), context(10.0, 0.2, "a.large")
    unseen = predicted(model, Query(half, 8))
    assert unseen.log_std[0] > 2 * known.log_std[0]
    assert unseen.log_mean[0] == pytest.approx(known.log_mean[0], abs=0.3)


def test_missing_unknown_and_odd_features_are_survived() -> None:
    runs = history(repetitions=1)
    runs += [EarlierRun({**run.context, "skew": None, "note": "x"}, run.scale_out, 50.0) for run in runs[:3]]
    runs.append(EarlierRun({**runs[0].context, "cores": "eight", "flag": True}, 4, 60.0))
    odd = [{}, {"unheard_of": "value"}, {"input_gb": float("nan")}, {"input_gb": -3.0, "cores": 1e308}]
    predicted(fitted(runs), *(Query(features, 4) for features in odd))


def test_numbers_written_as_text_are_numbers() -> None:
    as_text = [{"k": text} for text in ("1", "10", "100")]
    as_numbers = [{"k": number} for number in (1, 10, 100)]
    assert Encoding.of(as_text) == Encoding.of(as_numbers)
    assert (Encoding.of(as_text).encode(as_text)[0] == Encoding.of(as_numbers).encode(as_numbers)[0]).all()


@pytest.mark.parametrize("runtime", [0.0, -1.0, float("nan"), float("inf")])
def test_without_usable_runs_there_is_a_reason(runtime: float) -> None:
    answer = fit_context_model([EarlierRun({}, 4, runtime)]).predict([Query({}, 4)])
    assert isinstance(answer, NoPrediction)
    assert "no earlier run" in answer.reason
    assert isinstance(fit_context_model([]).predict([Query({}, 4)]), NoPrediction)


@pytest.mark.parametrize("scale_out", [0, -2, float("nan")])
def test_impossible_scale_outs_are_refused(scale_out: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        fit_context_model(history(repetitions=1)).predict([Query({}, scale_out)])


def test_the_same_runs_give_the_same_model() -> None:
    first, second = fitted(history()), fitted(history())
    query = Query(context(14.0, 0.3), 6)
    assert (first.parameters == second.parameters).all()
    assert predicted(first, query).log_mean == predicted(second, query).log_mean


@pytest.mark.parametrize("runs", [history(repetitions=1), [EarlierRun({}, 4, 10.0)], []])
def test_parts_round_trip_as_json(runs: list[EarlierRun]) -> None:
    model = fitted(runs)
    settings, arrays = model.to_parts()
    again = ContextModel.from_parts(json.loads(json.dumps(settings)), arrays)
    queries = [Query(context(14.0, 0.3), 6), Query(context(5.0, 0.05, "b.xlarge"), 2), Query({}, 4)]
    before, after = model.predict(queries), again.predict(queries)
    if isinstance(before, NoPrediction):
        assert before == after
        return
    assert isinstance(after, RuntimePrediction)
    assert (before.log_mean == after.log_mean).all()
    assert (before.log_std == after.log_std).all()


def test_damaged_parts_are_refused() -> None:
    settings, arrays = fitted(history(repetitions=1)).to_parts()
    with pytest.raises(ValueError, match="do not fit"):
        ContextModel.from_parts(settings, arrays | {"parameters": arrays["parameters"][:-1]})
    with pytest.raises(ValueError, match="version"):
        ContextModel.from_parts({**settings, "schema_version": 99}, arrays)


def test_the_law_can_be_left_out() -> None:
    model = fitted(history(repetitions=1), assumptions=Assumptions(terms=law_free()))
    assert "law" not in model.to_parts()[0]["assumptions"]["terms"]
    predicted(model, Query(context(14.0, 0.3), 6))


def test_many_runs_are_thinned() -> None:
    runs = [EarlierRun({"n": float(n)}, x, 10.0 + n / x) for n in range(1, 221) for x in (2, 4, 8, 16, 32)]
    model = fit_context_model(runs)
    assert len(model.log_runtime) == 1000
    assert predicted(model, Query({"n": 200.0}, 4)).log_mean[0] == pytest.approx(np.log(60.0), abs=0.1)


def test_gradient_is_that_of_the_loss() -> None:
    model = fitted([*history(repetitions=1)[:40], EarlierRun(context(9.0, 0.2, "b.xlarge"), 4, 90.0)])
    points, residual, _ = model._known_points
    covariance: Covariance = model._covariance
    assert covariance.environment.any()
    tables, beliefs = covariance.tables(points, points), covariance.beliefs()
    at, repeats = beliefs[0] + 0.2, Repeats(degrees=12.0, squares=0.01)

    def loss(parameters: np.ndarray) -> float:
        return covariance._loss(parameters, tables, residual, model.counts, beliefs, repeats)[0]

    steps = 1e-5 * np.eye(len(at))
    numeric = np.array([(loss(at + step) - loss(at - step)) / 2e-5 for step in steps])
    exact = covariance._loss(at, tables, residual, model.counts, beliefs, repeats)[1]
    assert exact == pytest.approx(numeric, abs=1e-3)


def test_the_noise_of_runs_is_what_repetitions_differ_by() -> None:
    steady, varied = (fitted(history(noise, repetitions=5)) for noise in (0.01, 0.1))
    assert np.exp(0.5 * steady.parameters[0]) == pytest.approx(0.01, rel=0.25)
    assert np.exp(0.5 * varied.parameters[0]) == pytest.approx(0.1, rel=0.25)


def test_parameters_of_other_runs_are_taken_over_where_the_features_are_the_same() -> None:
    runs = [
        EarlierRun({"size": float(size)}, x, size * (0.3 + 4 / x) * (1 + 0.01 * (x % 3)))
        for size in (10, 20, 40, 80)
        for x in (2, 4, 6, 8)
    ]
    whole, part = fit_context_model(runs), fit_context_model(runs[:-1])
    taken_over = fit_context_model(runs[:-1], like=whole)
    assert list(taken_over.parameters) == list(whole.parameters) != list(part.parameters)
    query = [Query({"size": 80.0}, 8)]
    assert float(taken_over.predict(query).log_mean[0]) == pytest.approx(
        float(part.predict(query).log_mean[0]), abs=0.05
    )
    others = [EarlierRun({**run.context, "kind": "a"}, run.scale_out, run.runtime_seconds) for run in runs]
    assert fit_context_model(others, like=whole).parameters.shape != whole.parameters.shape
