"""Lists of numbers and images, in all the forms that they may be sent in."""

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from prediction.inference.declaration.declaration import Declaration
from prediction.inference.declaration.problems import InvalidInputs
from prediction.inference.images.limits import ImageLimits
from prediction.inference.model_process.frames import Array
from tests.support.images import colours, file_of, grey


def of(**field: Any) -> Declaration:
    return Declaration.parse({"inputs": {"x": field}})


def read(declaration: Declaration, value: Any, **how: Any) -> Any:
    row = declaration.row({"x": value}, **how)
    return row.arrays["x"] if "x" in row.arrays else row.values["x"]


def problem(declaration: Declaration, value: Any, **how: Any) -> str:
    with pytest.raises(InvalidInputs) as caught:
        declaration.row({"x": value}, **how)
    [error] = caught.value.members["errors"]
    assert error["field"] == "x"
    return str(error["message"])


def unpacked(array: Array) -> np.ndarray[Any, Any]:
    return np.frombuffer(array.data, array.dtype).reshape(array.shape)


def test_numbers_of_a_declared_shape_become_an_array() -> None:
    made = read(of(type="array", items="number", shape=[2, 2]), [[1, 2.5], [3, 4]])
    assert (made.dtype, made.shape) == ("float32", (2, 2))
    assert unpacked(made).tolist() == [[1, 2.5], [3, 4]]
    made = read(of(type="array", items="integer", shape=[-1]), [2**53 + 1, 2.0, -(2**63)])
    assert (made.dtype, made.shape) == ("int64", (3,))
    assert unpacked(made).tolist() == [2**53 + 1, 2, -(2**63)]
    assert read(of(type="array", items="number", shape=[3]), "1, 2,3", lenient=True).shape == (3,)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({}, [1, "a", {"b": []}]),
        ({"items": "number"}, [1, 2.5]),
        ({"items": "float"}, [[1], [2]]),
        ({"items": "integer"}, []),
        ({"items": "string", "shape": [2]}, ["a", "b"]),
        ({"items": "boolean"}, [True, False]),
        ({"items": "any", "shape": [2]}, [1, "a"]),
    ],
)
def test_other_lists_stay_json(field: dict[str, Any], value: Any) -> None:
    assert read(of(type="array", **field), value) == value


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ({"items": "number", "shape": [2]}, [1], "shape 2, and has 1"),
        ({"items": "number", "shape": [-1, 2]}, [[1, 2, 3]], "shape any × 2, and has 1 × 3"),
        ({"items": "number", "shape": [-1]}, [], "has 0"),
        ({"items": "number", "shape": [2, 2]}, [[1, 2], [3]], "unequal"),
        ({"items": "number", "shape": [2]}, [1, [2]], "unequal"),
        ({"items": "number", "shape": [2]}, [1, True], "holds true"),
        ({"items": "number", "shape": [2]}, [1, None], "holds null"),
        ({"items": "number", "shape": [2]}, [1, "2"], "the text “2”"),
        ({"items": "number", "shape": [1]}, [float("nan")], "NaN"),
        ({"items": "number", "shape": [1]}, [1e39], "too large for 32 bits"),
        ({"items": "number", "shape": [1]}, [10**400], "64 bits"),
        ({"items": "integer", "shape": [1]}, [1.5], "fraction"),
        ({"items": "integer", "shape": [1]}, [2**63], "64 bits"),
        ({"items": "integer", "shape": [1]}, [2.0**63], "64 bits"),
        ({"items": "integer", "minimum": 0}, [1, -1], "below 0"),
        ({"items": "number", "maximum": 1}, [1, 1.5], "above 1"),
        ({"items": "string"}, ["a", 1], "holds 1"),
        ({"items": "boolean"}, [1], "holds 1"),
        ({}, {"a": 1}, "must be a list, and is an object"),
        ({}, [[float("inf")]], "inf"),
        ({"items": "number"}, "[1]", "the text"),
    ],
)
def test_lists_that_do_not_fit(field: dict[str, Any], value: Any, words: str) -> None:
    assert words in problem(of(type="array", **field), value)


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.just(3)),
        elements=st.floats(-(2.0**100), 2.0**100, width=32),
    )
)
def test_arrays_keep_their_numbers(values: np.ndarray[Any, Any]) -> None:
    declaration = of(type="array", items="number", shape=[-1, 3])
    assert (unpacked(read(declaration, values.tolist())) == values).all()
    assert (
        read(declaration, values)
        == read(declaration, values.astype(">f8"))
        == read(declaration, values.tolist())
    )


def test_arrays_of_other_datatypes() -> None:
    whole = of(type="array", items="integer", shape=[2])
    assert unpacked(read(whole, np.array([1, 255], np.uint8))).tolist() == [1, 255]
    assert unpacked(read(whole, np.array([1, 2], np.float16))).tolist() == [1, 2]
    assert "64 bits" in problem(whole, np.array([1, 2**64 - 1], np.uint64))
    assert "must hold numbers" in problem(whole, np.array([True, False]))
    assert read(of(type="array", items="boolean"), np.array([True, False])) == [True, False]
    assert read(of(type="any"), np.array([[1, 2]])) == [[1, 2]]


PICTURE = of(type="image", width=9, height=7)
DATA = file_of(colours(), "PNG")
MADE = PICTURE.row({}, {"x": DATA}).arrays["x"]


def test_an_image_comes_as_a_file_as_base64_or_as_pixels() -> None:
    assert (MADE.dtype, MADE.shape) == ("uint8", (7, 9, 3))
    text = base64.b64encode(DATA).decode()
    broken_up = "\r\n ".join(text[at : at + 40] for at in range(0, len(text), 40))
    for form in (
        text,
        broken_up,
        f"data:image/png;base64,{text}",
        f"  DATA:image/png;charset=utf-8;BASE64,\n{broken_up}",
        colours().tolist(),
        colours().astype(float).tolist(),
        colours(),
        colours().astype(np.int64),
    ):
        assert read(PICTURE, form) == MADE
    levels = of(type="image", mode="L")
    assert read(levels, grey().tolist()) == read(levels, grey()[..., None].tolist())
    assert read(levels, grey().tolist()) == levels.row({}, {"x": file_of(grey(), "PNG")}).arrays["x"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "empty"),
        ("not base64!", "no base64"),
        (base64.b64encode(DATA).decode()[:-3], "no base64"),
        (base64.b64encode(DATA[:-30]).decode(), "damaged or cut off"),
        (base64.urlsafe_b64encode(b"\xff\xfe\xfd" * 9).decode(), "no base64"),
        ("ä" * 8, "no base64"),
        (base64.b64encode(b"<html>").decode(), "HTML"),
        ("https://example.com/cat.png", "not fetched"),
        ("data:image/png,%89PNG", "not fetched"),
        ([[0, 256]], "from 0 to 255"),
        ([[-1]], "from 0 to 255"),
        ([[0.5]], "fraction"),
        ([[True]], "holds true"),
        ([["a"]], "the text “a”"),
        ([[1, 2], [3]], "unequal"),
        ([1, 2], "rows of columns"),
        ([], "rows of columns"),
        ([[]], "no pixels"),
        ([[[1, 2]]], "1, 3 or 4 channels"),
        ([[10**30]], "64 bits"),
        (5, "must be an image: a file, base64 text or rows of pixels, and is 5"),
        ({"b64": ""}, "an object"),
    ],
)
def test_what_is_no_image(value: Any, words: str) -> None:
    assert words in problem(PICTURE, value)


def test_limits_hold_for_every_form() -> None:
    few = ImageLimits(most_bytes=80, most_pixels=9)
    assert len(DATA) > 80
    for form in (base64.b64encode(DATA).decode(), " " * 99 + base64.b64encode(DATA).decode()):
        assert "bytes" in problem(PICTURE, form, limits=few)
    assert "pixels" in problem(PICTURE, colours().tolist(), limits=few)
    with pytest.raises(InvalidInputs, match="bytes"):
        PICTURE.row({}, {"x": DATA}, limits=few)


@pytest.mark.parametrize("name", ["x", "", "file", "image"])
def test_the_only_image_needs_no_name(name: str) -> None:
    assert PICTURE.row({}, {name: DATA}).arrays["x"] == MADE
    assert PICTURE.row({"x": None}, {name: DATA}).arrays["x"] == MADE


def test_files_that_are_nobody_s() -> None:
    two = Declaration.parse({"inputs": {"a": {"type": "image"}, "b": {"type": "image"}, "n": "int | None"}})
    assert len(two.row({}, {"a": DATA, "b": DATA}).arrays) == 2

    def said(values: dict[str, Any], files: dict[str, bytes], declaration: Declaration = two) -> str:
        with pytest.raises(InvalidInputs) as caught:
            declaration.row(values, files)
        return str(caught.value)

    assert "is not an input" in said({}, {"file": DATA})
    assert "n must be an integer, and is a file" in said({}, {"n": DATA})
    assert "twice" in said({"a": base64.b64encode(DATA).decode()}, {"a": DATA})
    assert "is not an input" in said({"x": colours().tolist()}, {"file": DATA}, PICTURE)
    assert "is not an input" in said({}, {"file": DATA, "image": DATA}, PICTURE)
    assert "is not an input" in said({}, {"picture": DATA}, PICTURE)
    assert "declares no image" in said({}, {"lists": DATA}, Declaration.parse({"inputs": {"lists": "list"}}))


def test_an_image_may_have_a_default() -> None:
    text = base64.b64encode(DATA).decode()
    assert of(type="image", width=9, height=7, default=text).row({}).arrays["x"] == MADE


def test_form_of_an_image() -> None:
    field = {
        "mode": "L",
        "width": 20,
        "height": 20,
        "fit": "contain",
        "background": "#FF0000",
        "invert": True,
    }
    made = unpacked(read(of(type="image", **field), np.full((10, 20, 3), 255, np.uint8)))
    assert made.shape == (20, 20)
    assert (made[0, 0], made[10, 10]) == (255 - 76, 0)
