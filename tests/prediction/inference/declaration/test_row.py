"""Values of a request become what a model is given, or are refused all at once."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidRequest
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.declaration.json_values import LONGEST_NAME, MOST_KEYS, MOST_LEVELS
from prediction.inference.declaration.problems import Guesses, InvalidInputs
from prediction.inference.images.limits import ImageLimits
from prediction.inference.model_process.frames import Array, decode_request, encode_request
from prediction.inference.questions import Question, QuestionList

PERSON = Declaration.parse(
    {
        "inputs": {
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "weight": {"type": "number", "default": 70.0},
            "city": {"type": "string", "choices": ["Berlin", "Bonn"], "max_length": 100},
            "member": {"type": "boolean", "optional": True},
        }
    }
)
FREE = Declaration.parse(None)


def of(**field: Any) -> Declaration:
    return Declaration.parse({"inputs": {"x": field}})


def problems(declaration: Declaration, values: dict[str, Any], **how: Any) -> dict[str, str]:
    with pytest.raises(InvalidInputs) as caught:
        declaration.row(values, **how)
    errors = caught.value.members["errors"]
    assert isinstance(caught.value, InvalidRequest)
    assert str(caught.value)
    json.dumps(errors).encode()
    return {each["field"]: each["message"] for each in errors}


def test_values_come_in_the_order_of_declaration() -> None:
    row = PERSON.row({"city": "Bonn", "member": False, "age": 3})
    assert list(row.values.items()) == [("age", 3), ("weight", 70.0), ("city", "Bonn"), ("member", False)]
    assert not row.arrays
    assert list(PERSON.row({"age": 3, "city": "Bonn"}).values) == ["age", "weight", "city"]


def test_arrays_and_values_come_in_the_order_of_declaration() -> None:
    numbers = {"type": "array", "items": "number", "shape": [3]}
    declared = Declaration.parse(
        {"inputs": {"vector": numbers, "age": {"type": "number"}, "last": numbers}, "extra_inputs": True}
    )
    asked = {"more": 1, "age": 41, "last": [4, 5, 6], "vector": [1, 2, 3]}
    (row,) = decode_request(encode_request([declared.row(asked)]))
    assert list(row.inputs(row.arrays)) == ["vector", "age", "last", "more"]


def test_a_request_has_a_few_guesses() -> None:
    fields = [f"field_{number}" for number in range(40)]
    declared = Declaration.parse({"inputs": dict.fromkeys(fields, "float | None")})
    asked = {f"feild_{number}": 1 for number in range(20)}
    rows = QuestionList([Question(asked), Question(asked)]).rows(declared, ImageLimits())
    told = [each for row in rows if isinstance(row, InvalidInputs) for each in row.problems]
    assert len(told) == 40
    assert sum("did you mean field_" in each.problem for each in told) == 10
    guesses = Guesses()
    many = [f"field_{number}" for number in range(1000)]
    assert guesses.nearest("feild_7", many) == "; did you mean field_7?"
    assert guesses.nearest("feild_8", many) == "", "each takes a thousand comparisons"


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = problems(PERSON, {"age": "old", "wieght": 3, "city": "Rome", "member": 1})
    assert found == {
        "age": "must be an integer, and is the text “old”",
        "city": "must be one of Berlin, Bonn, and is the text “Rome”",
        "member": "must be true or false, and is 1",
        "wieght": "is not an input of this version; did you mean weight?",
    }
    assert problems(PERSON, {})["age"] == "is missing"
    assert problems(PERSON, {"age": None, "city": "Bonn"}) == {"age": "is null, and must not be"}
    with pytest.raises(InvalidInputs, match=r"^age must be .*; city is missing\.$"):
        PERSON.row({"age": 151})


def test_null_stands_for_what_is_left_out() -> None:
    row = PERSON.row({"age": 3, "city": "Bonn", "weight": None, "member": None})
    assert row.values == {"age": 3, "weight": 70.0, "city": "Bonn"}
    nullable = of(type="number", nullable=True)
    assert nullable.row({}).values == nullable.row({"x": None}).values == {"x": None}
    assert of(type="any").row({"x": None}).values == {"x": None}
    assert "missing" in problems(of(type="any"), {})["x"]


@pytest.mark.parametrize(
    ("kind", "value", "taken"),
    [
        ("integer", 3, 3),
        ("integer", 3.0, 3),
        ("integer", -(2**63), -(2**63)),
        ("number", 3, 3.0),
        ("number", 1e-300, 1e-300),
        ("boolean", True, True),
        ("string", "", ""),
        ("string", "ä\0", "ä\0"),
    ],
)
def test_what_a_type_takes(kind: str, value: Any, taken: Any) -> None:
    found = of(type=kind).row({"x": value}).values["x"]
    assert (found, type(found)) == (taken, type(taken))


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("integer", True, "and is true"),
        ("integer", 2.5, "and is 2.5"),
        ("integer", "3", "the text “3”"),
        ("integer", 2**63, "64 bits"),
        ("integer", 10**300, "64 bits"),
        ("integer", math.inf, "and is inf"),
        ("integer", [1], "a list of 1"),
        ("number", False, "and is false"),
        ("number", math.nan, "nan"),
        ("number", -math.inf, "inf"),
        ("number", "3,5", "the text “3,5”; write 3.5"),
        ("number", 10**400, "64 bits"),
        ("number", {}, "an object"),
        ("boolean", 0, "and is 0"),
        ("boolean", "true", "the text “true”"),
        ("string", 3, "and is 3"),
        ("string", "\ud800", "half a character: the text “?”"),
    ],
)
def test_what_a_type_does_not_take(kind: str, value: Any, words: str) -> None:
    assert words in problems(of(type=kind), {"x": value})["x"]


def test_bounds() -> None:
    assert of(type="number", minimum=0, maximum=1).row({"x": 1}).values == {"x": 1.0}
    assert problems(of(type="number", minimum=0.5), {"x": 0})["x"] == "must be at least 0.5, and is 0.0"
    assert problems(of(type="integer", maximum=7), {"x": 8})["x"] == "must be at most 7, and is 8"
    assert problems(of(type="string", max_length=2), {"x": "abc"})["x"].endswith("and has 3")
    assert "one of 1, 2" in problems(of(type="integer", choices=[1, 2]), {"x": 3})["x"]


@pytest.mark.parametrize(
    ("kind", "text", "taken"),
    [
        ("integer", " 42 ", 42),
        ("integer", "+3", 3),
        ("number", "-1.5e3", -1500.0),
        ("number", ".5", 0.5),
        ("number", "7", 7.0),
        ("boolean", "on", True),
        ("boolean", "False", False),
        ("string", "42", "42"),
        ("any", "42", 42),
        ("any", '{"a": [1]}', {"a": [1]}),
        ("any", "01234", "01234"),
        ("any", "NaN", "NaN"),
        ("array", "[1, 2]", [1, 2]),
        ("array", "1, 2.5", [1, 2.5]),
    ],
)
def test_texts_of_forms(kind: str, text: str, taken: Any) -> None:
    found = of(type=kind).row({"x": text}, lenient=True).values["x"]
    assert (found, type(found)) == (taken, type(taken))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "1_000"),
        ("integer", "4.5"),
        ("integer", "٣"),
        ("integer", "9" * 30),
        ("integer", "9" * 5000),
        ("number", "nan"),
        ("number", "inf"),
        ("number", "1e999"),
        ("number", "3,5"),
        ("boolean", "maybe"),
        ("array", "[1"),
        ("array", "[" * 5000),
    ],
)
def test_texts_of_forms_that_are_none(kind: str, text: str) -> None:
    assert problems(of(type=kind), {"x": text}, lenient=True)["x"].startswith("must be ")


def test_what_a_form_leaves_empty_is_left_out() -> None:
    row = PERSON.row({"age": "3", "weight": "", "city": "Bonn", "member": ""}, lenient=True)
    assert row.values == {"age": 3, "weight": 70.0, "city": "Bonn"}
    assert problems(PERSON, {"age": "", "city": "Bonn"}, lenient=True) == {"age": "is missing"}
    assert of(type="string").row({"x": ""}, lenient=True).values == {"x": ""}
    assert of(type="string", optional=True).row({"x": ""}, lenient=True).values == {}


def test_any_key_is_taken_where_nothing_is_declared() -> None:
    values = {"a": [1, {"b": None}], "": 1} | {"c": "x"}
    assert problems(FREE, values) == {"": "an input has no name"}
    del values[""]
    assert FREE.row(values).values == values
    also = Declaration.parse({"inputs": {"n": {"type": "integer"}}, "extra_inputs": True})
    assert also.row({"more": "x", "n": 1}).values == {"n": 1, "more": "x"}
    assert also.row({"n": "1", "more": "[2]"}, lenient=True).values == {"n": 1, "more": [2]}
    with pytest.raises(InvalidInputs, match="takes no file"):
        FREE.row({}, {"picture": b"x"})


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (nested(MOST_LEVELS + 1), "deeper"),
        (nested(50_000), "deeper"),
        ({"a": math.nan}, "nan"),
        ([math.inf], "inf"),
        ([10**100], "64 bits"),
        ({"\ud800": 1}, "half a character"),
        (["\udfff"], "half a character"),
        ({"k" * (LONGEST_NAME + 1): 1}, "200 characters"),
        ({1: 2}, "no text"),
        ([object()], "no JSON"),
    ],
)
def test_bounds_of_any_json(value: Any, words: str) -> None:
    assert words in problems(FREE, {"x": value})["x"]


def test_numbers_of_keys_and_their_names() -> None:
    assert len(FREE.row({str(each): each for each in range(MOST_KEYS)}).values) == MOST_KEYS
    assert "1,000" in problems(FREE, {str(each): each for each in range(MOST_KEYS + 1)})[""]
    assert "characters" in next(iter(problems(FREE, {"k" * 201: 1}).values()))
    assert FREE.row({"x": nested(MOST_LEVELS)}).values["x"] == nested(MOST_LEVELS)
    strangers = {f"unknown {each}": each for each in range(900)}
    assert len(problems(PERSON, strangers)) == 100


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=10,
)


@given(st.dictionaries(texts.filter(bool), json_values, max_size=5))
def test_free_keys_are_left_as_they_are(values: dict[str, Any]) -> None:
    assert FREE.row(values).values == values


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
EVERY_TYPE = Declaration.parse(
    {
        "inputs": {
            "integer": {"type": "integer"},
            "number": {"type": "number", "minimum": -5},
            "boolean": {"type": "boolean"},
            "string": {"type": "string", "max_length": 9},
            "image": {"type": "image", "width": 4, "height": 4},
            "array": {"type": "array", "items": "number", "shape": [-1, 2]},
            "lists": "list[list[int]]",
            "any": {"type": "any"},
        },
        "extra_inputs": True,
    }
)


@given(
    st.dictionaries(st.sampled_from(list(EVERY_TYPE.inputs)) | st.text(), anything),
    st.dictionaries(st.sampled_from(["image", "string", "file", "any"]), st.binary(max_size=50)),
    st.booleans(),
)
def test_anything_is_taken_or_refused_in_words(
    values: dict[str, Any], files: dict[str, bytes], lenient: bool
) -> None:
    try:
        row = EVERY_TYPE.row(values, files, lenient=lenient)
    except InvalidInputs as error:
        json.dumps(error.members, ensure_ascii=False).encode()
        str(error).encode()
        return
    json.dumps(row.values, allow_nan=False).encode()


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(-5, allow_infinity=False),
    st.booleans(),
    st.lists(st.lists(st.floats(-1e30, 1e30), min_size=2, max_size=2), min_size=1, max_size=5),
    st.lists(st.lists(st.integers(-9, 9))),
)
def test_what_fits_is_taken(
    integer: int, number: float, boolean: bool, array: list[list[float]], lists: list[list[int]]
) -> None:
    values = {**EVERY_TYPE.example(), "integer": integer, "number": number, "boolean": boolean}
    row = EVERY_TYPE.row({**values, "array": array, "lists": lists})
    assert (row.values["integer"], row.values["number"], row.values["boolean"]) == (integer, number, boolean)
    assert row.values["lists"] == lists
    assert isinstance(row.arrays["array"], Array)
    assert row.arrays["array"].shape == (len(array), 2)
    texts = EVERY_TYPE.row(
        {**values, "array": array, "number": repr(number), "integer": str(integer)}, lenient=True
    )
    assert texts == EVERY_TYPE.row({**values, "array": array})
