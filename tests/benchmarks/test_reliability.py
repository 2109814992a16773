"""Said chances of meeting a target, and what happened, on numbers that are known."""

from statistics import NormalDist

import numpy as np
import pytest

from benchmarks.ellis_data import FAILURE_RUNS
from benchmarks.made_up_applications import made_up_recordings
from benchmarks.reliability import Asked, chance_classes, joined, reliability
from benchmarks.remaining_runtime import Predictions

FEW = Asked(
    np.array([0.0, 0.1, 0.5, 0.89, 0.97, 1.0, 0.6]),
    np.array([False, True, True, False, True, True, False]),
    np.array([False] * 6 + [True]),
    np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0]),
)


def test_forecasts_are_sorted_by_what_they_said() -> None:
    normal = chance_classes(FEW, failure=False)
    assert [of.name for of in normal] == ["0 to 10%", "10 to 50%", "50 to 90%", "97 to 100%"]
    assert [of.forecasts for of in normal] == [1, 1, 2, 2]
    assert [of.runs for of in normal] == [1, 1, 2, 1]
    assert normal[2].said == pytest.approx(0.695)
    assert normal[2].happened == 0.5
    (failed,) = chance_classes(FEW, failure=True)
    assert [of.forecasts for of in chance_classes(FEW)] == [1, 1, 3, 2]
    assert (failed.name, failed.said, failed.happened) == ("50 to 90%", 0.6, 0.0)


def test_only_classes_with_many_forecasts_are_judged() -> None:
    section, bars = reliability(FEW, "few")
    assert len(section.rows) == 9
    assert not bars
    section, bars = reliability(joined([FEW] * 15), "many")
    assert section.rows[2] == ["normal", "50 to 90%", "30", "2", "69.5%", "50.0%"]
    assert [(round(bar.value, 3), bar.is_met) for bar in bars] == [
        (0.195, False),
        (0.015, True),
        (0.33, False),
        (0.015, True),
    ]


def test_chances_are_those_of_the_service_while_time_is_left() -> None:
    found = Predictions(
        predicted=np.array([80.0, 80.0, 80.0]),
        measured=np.array([90.0, 101.0, 70.0]),
        log_std=np.array([0.2, 0.2, 0.2]),
        early_log_std=np.array([0.1, 0.1, 0.1]),
        failure=np.array([False, False, True]),
        run=np.array([11.0, 12.0, 41.0]),
        after=np.array([0.5, 0.5, 0.5]),
        elapsed=np.array([0.0, 30.0, 100.0]),
    )
    asked = found.asked(100.0)  # nothing is left of it for the last one
    late, early = np.log(100 / 80) / 0.2, np.log(70 / 80) / 0.1
    np.testing.assert_allclose(asked.chance, [NormalDist().cdf(late), NormalDist().cdf(early)])
    assert asked.met.tolist() == [True, False]
    assert asked.run.tolist() == [11.0, 12.0]


def test_made_up_applications_are_recorded_as_the_others_were() -> None:
    ((name, (runs, minutes)),) = made_up_recordings(("Amdahl",), (0.05,)).items()
    assert name == "Amdahl, 5%"
    assert [run.run_id for run in runs] == [str(number) for number in range(1, 66)]
    scale_outs = [run.jobs[0].start_scale_out for run in runs]
    assert sorted(scale_outs[:10]) == [4, 8, 11, 15, 18, 22, 25, 29, 32, 36]
    assert 14 < np.median(scale_outs[10:40]) < 26  # 20 keeps the target in three of four runs
    usual = {
        failing: np.median(
            [run.runtime_seconds or 0.0 for run in runs if (int(run.run_id) in FAILURE_RUNS) == failing]
        )
        for failing in (False, True)
    }
    assert usual[False] / 60 == pytest.approx(minutes, rel=0.25)
    assert usual[True] > 1.05 * usual[False]
