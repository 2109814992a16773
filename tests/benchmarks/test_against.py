"""What `benchmarks/against.py` says of a build that gives no recommendation, however quickly."""

import json
from pathlib import Path

from benchmarks.against import UNANSWERED, bodies, report
from benchmarks.staged_application import make_runs
from common.wire.events import UpdateInformation


def test_a_job_without_a_recommendation_is_a_bar_missed_in_whatever_round(tmp_path: Path) -> None:
    figure, speed = f"recommendations: {UNANSWERED}", "one recommendation, median, ms"
    found = {
        figure: {"earlier": [0.0, 0.0, 0.0], "this": [0.0, 2.0, 0.0]},
        speed: {"earlier": [50.0, 52.0, 51.0], "this": [20.0, 21.0, 22.0]},
    }
    report(found, "earlier", tmp_path)
    bars = {bar["name"]: bar for bar in json.loads((tmp_path / "against.json").read_text())["bars"]}
    assert (bars[figure]["value"], bars[figure]["is_met"]) == (2.0, False)
    assert bars[speed]["is_met"]


def test_a_driver_reports_what_the_service_takes() -> None:
    [run] = make_runs(1, jobs=18)
    said = [UpdateInformation.model_validate(body) for body in bodies("run-1", run)]
    assert all(each.event() for each in said)
    assert [each.job_id for each in said] == [None, *range(18)]
