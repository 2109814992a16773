"""What `benchmarks/remaining_runtime.py` says of errors, on numbers that are known."""

import numpy as np

from benchmarks.remaining_runtime import ERNEST, OURS, SIMILAR, Predictions, intervals, judge, table


def predictions(off: float, failures: int) -> Predictions:
    """Four forecasts that are too high by a share, the first of them in runs with failures."""
    ones = np.ones(4)
    spread = 0.05 * ones
    return Predictions(
        predicted=100.0 * (1.0 + off) * ones,
        measured=100.0 * ones,
        log_std=spread,
        early_log_std=spread,
        failure=np.arange(4) < failures,
        run=ones,
        after=ones / 2,
        elapsed=ones,
    )


def results(failures: int) -> dict[str, list[Predictions]]:
    return {name: [predictions(off, failures)] for name, off in ((OURS, 0.1), (ERNEST, 0.5), (SIMILAR, 0.2))}


def test_of_runs_that_there_are_none_of_nothing_is_judged() -> None:
    calm, mixed = {"Calm": results(0)}, {"Calm": results(0), "Mixed": results(2)}
    assert not [bar.name for bar in judge(calm) if "failures" in bar.name]
    assert [row[2] for row in table(calm).rows] == ["–"] * 3
    assert intervals(calm).rows[0][2] == "–"
    names = [bar.name for bar in judge(mixed) if "failures" in bar.name]
    assert names
    assert not [name for name in names if name.startswith("Calm")]


def test_an_average_is_of_the_applications_that_have_such_runs() -> None:
    bars = {bar.name: bar for bar in judge({"Calm": results(0), "Mixed": results(2)})}
    average = bars["on average, failures: error over Ernest"]
    assert (round(average.value, 3), round(average.baseline or 0.0, 3)) == (0.1, 0.5)
    [ours, *_] = table({"Calm": results(0), "Mixed": results(2)}).rows
    assert ours == [OURS, "10.0%", "–", "10.0%", "10.0%", "10.0%", "10.0%"]
