"""Labels take few values, and those that there are."""

import pytest
from prometheus_client import generate_latest

from common.instruments import SOURCES, Instruments, source_label
from prediction.forecasts.method import Method
from prediction.forecasts.whole_run import CONTEXT_MODEL, MODEL, SIMILAR_RUNS
from prediction.policies.registry import POLICIES
from tests.support.scraping import Counted
from training.runs.documents import TrainingState


@pytest.mark.parametrize(
    ("model_key", "label"),
    [
        ("spark.KMeans.onlinepredictor/1", "model"),
        ("spark.KMeans.onlinepredictor/2", "model"),
        ("similar-runs", "similar-runs"),
        ("ernest", "ernest"),
        ("what-only-a-later-version-knows", "other"),
        ("", "none"),
        (None, "none"),
    ],
)
def test_versions_are_no_labels(model_key: str | None, label: str) -> None:
    assert source_label(model_key) == label


def test_every_source_is_known() -> None:
    by_curves = {name for name in POLICIES if not name.startswith("static")} - {"enel"}
    assert {MODEL, SIMILAR_RUNS, CONTEXT_MODEL, *by_curves} == {*SOURCES} - {"other"}
    assert {Method.ERNEST, Method.BELL} < {*SOURCES}


def test_states_of_trainings_are_known() -> None:
    counted = Counted(Instruments().registry)
    for state in TrainingState:
        if state.is_final:
            assert counted("enel_training_duration_seconds_count", state=state) == 0


def test_what_happens_adds_no_time_series() -> None:
    instruments = Instruments()
    before = len(generate_latest(instruments.registry).splitlines())
    for number in range(100):
        instruments.count_accuracy(f"spark.Algorithm{number}.onlinepredictor/{number}", 0.1, 1, 0)
        instruments.count_trial(f"STATE_{number}")
        with instruments.recommendation() as timing:
            timing.answered_by = source_label(f"kind-{number}")
    assert len(generate_latest(instruments.registry).splitlines()) == before
    assert Counted(instruments.registry)("enel_training_trials_total", state="other") == 100


def test_instruments_of_several_services_do_not_add_up() -> None:
    first, second = Instruments(), Instruments()
    first.count_ended_run(True)
    assert Counted(first.registry)("enel_ended_runs_total", target="met") == 1
    assert Counted(second.registry)("enel_ended_runs_total", target="met") == 0
