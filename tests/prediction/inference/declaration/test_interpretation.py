"""Label and confidence of answers, of Python and of ONNX models."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction.inference.declaration.declaration import Declaration
from prediction.inference.declaration.output import Interpretation
from prediction.inference.declaration.problems import AnswerMismatch, DeclarationError


def of(output: Any) -> Declaration:
    return Declaration.parse({"output": output})


def pair(output: Any, answer: Any) -> tuple[str | None, float | None]:
    found = of(output).interpret(answer)
    return found.label, found.confidence


KEYS = {"label": "digit", "confidence": "probability"}


@pytest.mark.parametrize(
    ("output", "answer", "label", "confidence"),
    [
        (KEYS, {"digit": 7, "probability": 0.25}, "7", 0.25),
        (KEYS, {"digit": "seven", "probability": 1}, "seven", 1.0),
        (KEYS, {"digit": [7], "probability": [0.5]}, "7", 0.5),
        (KEYS, {"digit": True, "probability": 1.0000001}, "true", 1.0),
        (KEYS, {"digit": 7, "probability": 12.5}, "7", None),
        (KEYS, {"digit": 7, "probability": -0.1}, "7", None),
        (KEYS, {"digit": 7, "probability": True}, "7", None),
        (KEYS, {"digit": 7, "probability": None}, "7", None),
        (KEYS, {"digit": 7, "probability": math.nan}, "7", None),
        (KEYS, {"digit": None}, None, None),
        (KEYS, {"digit": {"a": 1}}, None, None),
        (KEYS, {"else": 1}, None, None),
        (KEYS, "text", "text", None),
        ({"digit": "int", "probability": "float"}, {"digit": 7, "probability": 0.5}, "7", 0.5),
        ({"label": "str", "score": "float"}, {"label": "a", "score": 0.5}, "a", 0.5),
        ({"why": "dict", "kind": "Literal['a']"}, {"why": {}, "kind": "a"}, "a", None),
        ({"price": "float"}, {"price": 3.5}, None, None),
        ("str", "spam", "spam", None),
        ("int", 7, "7", None),
        ("float", 2.5, "2.5", None),
        ("str", "x" * 201, None, None),
        ("str", None, None, None),
        (None, {"label": "a", "confidence": 0.5, "more": 1}, "a", 0.5),
        (None, {"class": 3, "probability": 0.5}, "3", 0.5),
        (None, [1, 2], None, None),
        (None, {"probabilities": {"a": "none"}}, None, None),
        ({"label": "c", "labels": ["cat", "dog"]}, {"c": 1}, "dog", None),
        ({"label": "c", "labels": ["cat", "dog"]}, {"c": 5}, "5", None),
    ],
)
def test_keys_of_answers(output: Any, answer: Any, label: str | None, confidence: float | None) -> None:
    assert pair(output, answer) == (label, confidence)


def test_scores_with_labels() -> None:
    output = {"scores": "logits", "labels": ["a", "b", "c"], "activation": "softmax"}
    found = of(output).interpret({"logits": [1.0, 3.0, 2.0]})
    expected = np.exp([1, 3, 2]) / np.exp([1, 3, 2]).sum()
    assert found.label == "b"
    assert found.confidence == pytest.approx(expected[1])
    assert found.scores is not None
    assert list(found.scores) == ["b", "c", "a"]
    assert list(found.scores.values()) == pytest.approx(sorted(expected, reverse=True))
    assert of(output).interpret({"logits": [[1.0, 3.0, 2.0]]}) == found
    assert of({**output, "scores": None}).interpret({"logits": [1.0, 3.0, 2.0]}) == found
    assert of({**output, "scores": None}).interpret([1.0, 3.0, 2.0]) == found
    assert of({"scores": "s", "labels": [3, 5]}).interpret({"s": [0.25, 0.75]}) == Interpretation(
        "5", 0.75, {"5": 0.75, "3": 0.25}
    )


@pytest.mark.parametrize("answer", [[0.75], [[0.75]], {"y": [0.75]}, {"prediction": [0.75]}])
def test_the_score_of_an_only_label_is_none(answer: Any) -> None:
    assert of({"labels": ["yes"]}).interpret(answer) == Interpretation("yes", 0.75, {"yes": 0.75})


def test_what_is_no_score_is_no_label_either() -> None:
    assert of({"labels": ["yes"]}).interpret([None]) == Interpretation()
    assert of({"labels": ["yes"]}).interpret([math.nan]) == Interpretation()


def test_a_label_in_a_list_of_one_is_no_score() -> None:
    assert pair({"label": "c", "labels": ["cat", "dog"]}, {"c": [1]}) == ("dog", None)


def test_softmax_is_stable() -> None:
    found = of({"scores": "s", "activation": "softmax"}).interpret({"s": [-1e308, 1e308, 1e308 - 1e292]})
    assert (found.label, found.confidence) == ("1", 1.0)
    assert pair({"scores": "s", "activation": "softmax"}, {"s": [5000.0, 5000.0]}) == ("0", 0.5)


def test_scores_that_are_no_shares_have_no_confidence() -> None:
    found = of({"scores": "s"}).interpret({"s": [-3.0, 12.0]})
    assert (found.label, found.confidence, found.scores) == ("1", None, {"1": 12.0, "0": -3.0})


def test_at_most_ten_scores() -> None:
    found = of({"scores": "s"}).interpret({"s": [each / 1000 for each in range(1000)]})
    assert found.scores is not None
    assert list(found.scores) == [str(each) for each in range(999, 989, -1)]
    assert found.confidence == 0.999


def test_scores_of_a_network_that_has_diverged() -> None:
    assert of({"scores": "s"}).interpret({"s": [None, 1.0]}) == Interpretation()
    assert of({"scores": "s"}).interpret({"s": [math.nan, 1.0]}) == Interpretation()
    assert of({"scores": "s"}).interpret({"s": [10**400, 1]}) == Interpretation()
    assert of({"scores": "s"}).interpret({"else": 1}) == Interpretation()


@pytest.mark.parametrize(
    "output",
    [None, {"label": "output_label", "scores": "output_probability"}, {"scores": "output_probability"}],
)
def test_exports_of_scikit_learn(output: Any) -> None:
    answer = {"output_label": "ham", "output_probability": {"spam": 0.25, "ham": 0.75}}
    assert of(output).interpret(answer) == Interpretation("ham", 0.75, {"ham": 0.75, "spam": 0.25})
    alone = {"output_label": ["ham"], "output_probability": [{"spam": 0.25, "ham": 0.75}]}
    assert of(output).interpret(alone) == Interpretation("ham", 0.75, {"ham": 0.75, "spam": 0.25})
    numbered = {"output_label": 7, "output_probability": {"3": 0.25, "7": 0.75}}
    assert of(output).interpret(numbered) == Interpretation("7", 0.75, {"7": 0.75, "3": 0.25})


def test_a_label_that_is_not_the_highest_score_has_its_own() -> None:
    output = {"label": "chosen", "scores": "s", "labels": ["a", "b"]}
    assert of(output).interpret({"chosen": "b", "s": [0.75, 0.25]}).confidence == 0.25
    assert of(output).interpret({"chosen": 1, "s": [0.75, 0.25]}).label == "b"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"s": [0.5, 0.25, 0.25]}, "3 scores, and 2 labels"),
        ({"s": [1.0]}, "1 scores, and 2 labels"),
        ({"s": [[0.5, 0.5], [0.5, 0.5]]}, "one number for each class"),
        ({"s": ["a", "b"]}, "one number for each class"),
        ({"s": [True, False]}, "one number for each class"),
        ({"s": {}}, "one number for each class"),
        ({"s": "high"}, "neither a list nor an object"),
        ({"s": 0.5}, "neither a list nor an object"),
    ],
)
def test_answers_that_are_not_what_was_declared(answer: Any, words: str) -> None:
    with pytest.raises(AnswerMismatch, match=words):
        of({"scores": "s", "labels": ["a", "b"]}).interpret(answer)


def test_outputs_are_looked_at_once_they_are_known() -> None:
    declared = of({"scores": "s", "labels": ["a", "b"]}).output
    declared.check_outputs({"s": [-1, 2], "other": [1]})
    declared.check_outputs({"s": ["batch", "classes"]})
    declared.check_outputs({"s": []})
    with pytest.raises(DeclarationError, match=r"output\.labels: 2 labels for 10 scores of s"):
        declared.check_outputs({"s": [None, 10]})
    with pytest.raises(DeclarationError, match=r"output\.scores: no output is called s: probabilities"):
        declared.check_outputs({"probabilities": [-1, 2]})
    with pytest.raises(DeclarationError, match="2 labels for 3 scores"):
        of({"labels": ["a", "b"]}).output.check_outputs({"only": [-1, 3]})
    of(None).output.check_outputs({"s": [1]})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(["s", "label", "output_probability"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(
    anything,
    st.sampled_from([None, "str", KEYS, {"scores": "s"}, {"labels": ["a"], "activation": "softmax"}]),
)
def test_any_answer_is_interpreted_or_said_to_be_none(answer: Any, output: Any) -> None:
    try:
        found = of(output).interpret(answer)
    except AnswerMismatch:
        return
    assert found.confidence is None or 0 <= found.confidence <= 1
    assert found.scores is None or len(found.scores) <= 10


@given(st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=30))
def test_shares_add_up_to_one(logits: list[float]) -> None:
    found = of({"scores": "s", "activation": "softmax"}).interpret({"s": logits})
    assert found.label == str(int(np.argmax(logits)))
    assert found.confidence is not None
    assert found.scores is not None
    if len(logits) <= 10:
        assert math.fsum(found.scores.values()) == pytest.approx(1)
