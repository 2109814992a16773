"""What a program says of itself: figures, gates, progress."""

import json
from itertools import pairwise

import bson
import pytest

from common.models.versions import ModelVersion, ProgramOrigin, TrainingData
from common.wire.specs import MetricGate
from submission.programs.documents import MOST_POINTS, ProgramRun
from submission.programs.figures import Unreadable, judge, read_figures, read_object
from submission.programs.reports import ProgressReport, changes_of


def version(number: int, **metrics: float) -> ModelVersion:
    origin = ProgramOrigin(
        application_execution_id="x", workspace="w", folder=".", file="t.py", snapshot_id="0", metrics=metrics
    )
    return ModelVersion(
        id=f"spark.x.program/{number}",
        name="spark.x.program",
        version=number,
        artifact_key="k",
        kind="program",
        system_name="spark",
        algorithm_name="x",
        experiment_name="e",
        schema_version=1,
        files=[],
        training_data=TrainingData(runs=0, jobs=0),
        program=origin,
    )


def test_figures_are_the_numbers_of_an_object_and_of_those_within() -> None:
    said = {"accuracy": 0.5, "of": {"digit": {"7": 1}}, "name": "x", "is_good": True, "nothing": None}
    assert read_figures(json.dumps(said).encode()) == {"accuracy": 0.5, "of.digit.7": 1.0}


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b'{"a": NaN}', b'{"a": 1e999}', b"\xff", b'{"a": -Infinity}']
)
def test_what_nobody_can_compare_is_said(content: bytes) -> None:
    with pytest.raises(Unreadable, match=r"metrics\.json"):
        read_figures(content)


def test_what_cannot_be_stored_or_sent_is_replaced() -> None:
    content = b'{"a\\ud800": [NaN, Infinity, "x\\udc00"], "\\ud83d\\ude00": 1}'
    assert read_object(content, "result.json") == {"a?": [None, None, "x?"], "\U0001f600": 1}
    assert read_figures(b'{"\\ud800x": 1}') == {"?x": 1.0}


@pytest.mark.parametrize(
    ("better", "own", "its", "promoted"),
    [
        ("higher", 0.9, 0.8, True),
        ("higher", 0.8, 0.9, False),
        ("higher", 0.8, 0.8, True),
        ("lower", 0.8, 0.9, True),
        ("lower", 0.9, 0.8, False),
    ],
)
def test_a_gate_compares_the_figure_that_it_names(
    better: str, own: float, its: float, promoted: bool
) -> None:
    gate = MetricGate.model_validate({"metric": "loss", "better": better})
    assert judge(version(1, loss=its), version(2, loss=own), gate).promoted is promoted


def test_without_a_rival_a_gate_or_a_figure_something_is_decided_too() -> None:
    gate = MetricGate(metric="loss", better="lower")
    assert judge(None, version(1), gate).method == "first_version"
    assert judge(version(1), version(2), None).promoted is True
    assert judge(version(1, loss=1.0), version(2), gate).promoted is False
    assert judge(version(1), version(2, loss=1.0), gate).promoted is True


def reported(run: ProgramRun, sequence: int, *lines: dict[str, object]) -> ProgramRun:
    report = ProgressReport.model_validate({"attempt": 1, "sequence": sequence, "lines": lines})
    return ProgramRun.model_validate({**run.model_dump(), **changes_of(run, report)})


def test_a_report_that_comes_twice_counts_once() -> None:
    run = ProgramRun(id="x", workspace="w")
    once = reported(run, 0, {"metrics": {"loss": 1.0}})
    twice = reported(once, 0, {"metrics": {"loss": 1.0}})
    assert len(twice.curve) == 1
    assert twice == once


def test_curves_keep_their_form_however_long_they_get() -> None:
    run = ProgramRun(id="x", workspace="w")
    for sequence in range(40):
        lines = [
            {"step": step, "metrics": {"loss": float(step)}}
            for step in range(100 * sequence, 100 * sequence + 100)
        ]
        run = reported(run, sequence, *lines)
    steps = [point.step for point in run.curve]
    assert MOST_POINTS // 2 <= len(steps) <= MOST_POINTS
    assert steps == sorted(steps)
    assert (steps[0], run.metrics["loss"]) == (0.0, 3999.0)
    assert {later - earlier for earlier, later in pairwise(steps)} == {run.curve_stride}


def test_texts_that_no_database_holds_are_stored_as_others() -> None:
    lone = {"metrics": {"\ud800x": 1.0}, "message": "a\ud800", "data": "\udfff"}
    run = reported(ProgramRun(id="x", workspace="w"), 0, lone)
    assert (run.metrics, run.message, run.data) == ({"?x": 1.0}, "a?", ["?"])
    assert bson.encode(run.to_mongo())


def test_of_names_without_end_some_are_kept() -> None:
    run = ProgramRun(id="x", workspace="w")
    for sequence in range(4):
        run = reported(run, sequence, {"metrics": {f"{sequence}-{number}": 1.0 for number in range(50)}})
    assert len(run.metrics) == 64
