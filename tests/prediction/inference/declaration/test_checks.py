"""Questions with the answers that they should have: what is the same, and how a difference is told."""

from typing import Any

import pytest

from prediction.inference.declaration.checks import MOST_CHECKS, Check
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.declaration.problems import DeclarationError


def difference(wanted: Any, told: Any, tolerance: float = 1e-3) -> str | None:
    return Check(inputs={}, answer=wanted, tolerance=tolerance).difference(told)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (1, 1.0),
        (100, 100.09),
        (0, 1e-7),
        ("cat", "cat"),
        (None, None),
        ({"label": 1}, {"label": 1, "probability": [0.2, 0.8]}),
        ([[0.5, 0.5]], [[0.50001, 0.49999]]),
    ],
)
def test_what_counts_as_the_same(wanted: Any, told: Any) -> None:
    assert difference(wanted, told) is None


@pytest.mark.parametrize(
    ("wanted", "told", "said"),
    [
        (100, 100.2, "answer is 100.2 instead of 100"),
        (0, 0.01, "answer is 0.01 instead of 0"),
        (1, True, "answer is true instead of 1"),
        (1, "1", 'answer is "1" instead of 1'),
        (1, None, "answer is null instead of 1"),
        (1, float("nan"), "answer is nan instead of 1"),
        ({"label": 1}, {"class": 1}, 'answer has no "label"'),
        ([1, 2], [1, 2, 3], "answer has 3 elements instead of 2"),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}, {"b": 3}]}, "answer.a[1].b is 3 instead of 2"),
        ([1], {"0": 1}, 'answer is {"0": 1} instead of [1]'),
    ],
)
def test_a_difference_is_told_with_its_place(wanted: Any, told: Any, said: str) -> None:
    assert difference(wanted, told) == said


def test_a_tolerance_of_its_own() -> None:
    assert difference(100, 109, 0.1) is None
    assert difference(100, 100.01, 0) == "answer is 100.01 instead of 100"


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ({}, "checks: must be a list of objects with inputs and answer"),
        ([1], "checks: must be a list of objects with inputs and answer"),
        ([{"inputs": {}}], r"checks\[0\].answer: Field required"),
        ([{"inputs": 1, "answer": 1}], r"checks\[0\].inputs: Input should be "),
        (
            [{"inputs": {}, "answer": 1, "tolerance": 1}],
            r"checks\[0\].tolerance: Input should be less than 1",
        ),
        ([{"inputs": {}, "answer": 1}] * (MOST_CHECKS + 1), f"there are more than {MOST_CHECKS}"),
    ],
)
def test_checks_that_cannot_be_read_are_refused_with_their_place(checks: Any, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        Declaration.parse({"checks": checks})


def test_what_nobody_reads_is_told_and_what_somebody_reads_is_not() -> None:
    check = {"inputs": {"x": 1}, "answer": 1, "tolerence": 0.1}
    declaration = Declaration.parse({"file": "m.onnx", "inputs": {"x": "int"}, "checks": [check]})
    assert len(declaration.checks) == 1
    assert list(declaration.warnings) == [
        "unknown field checks[0].tolerence is ignored; did you mean tolerance?"
    ]
