"""Requests of the protocol that nobody's client would send, and some that somebody's does."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction.inference.declaration.declaration import Declaration
from prediction.inference.declaration.problems import InvalidInputs
from prediction.inference.model_process.frames import Row
from prediction.inference.open_inference.answers import outputs_of, write_answers
from prediction.inference.open_inference.datatypes import array_of_bytes, bytes_of_elements, elements_of_bytes
from prediction.inference.open_inference.requests import read_request
from prediction.inference.open_inference.rows import rows_of

FREE = Declaration.parse(None)
DECLARED = Declaration.parse(
    {
        "inputs": {
            "n": {"type": "integer", "maximum": 9},
            "v": {"type": "array", "items": "number", "shape": [2], "optional": True},
            "image": {"type": "image", "optional": True},
            "text": {"type": "string", "optional": True},
            "names": {"type": "array", "items": "string", "optional": True},
            "flag": {"type": "boolean", "optional": True},
        }
    }
)


def body(*inputs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), **more}).encode()


def x(data: Any, shape: list[Any], datatype: str = "INT64", name: str = "x") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def asked(*inputs: dict[str, Any], declared: Declaration = FREE, **how: Any) -> list[Row]:
    return rows_of(read_request(body(*inputs)), declared, **how)


def refusal(*inputs: dict[str, Any], declared: Declaration = FREE, **how: Any) -> list[dict[str, str]]:
    with pytest.raises(InvalidInputs) as caught:
        asked(*inputs, declared=declared, **how)
    errors: list[dict[str, str]] = caught.value.members["errors"]
    return errors


def test_data_may_be_flat_or_nested() -> None:
    flat = asked(x([1, 2, 3, 4], [2, 2]))
    assert flat == asked(x([[1, 2], [3, 4]], [2, 2]))
    assert flat[1].arrays["x"].data == struct.pack("<qq", 3, 4)
    assert asked(x([1.5], [1], "FP32"))[0].values == {"x": 1.5}
    assert asked(x(["a", "7"], [2, 1], "BYTES"))[1].values == {"x": 7}


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (x([1, 2, 3], [2, 2]), "data of the shape [3], and says [2, 2]"),
        (x([[1, 2]], [2, 1]), "data of the shape [1, 2]"),
        (x([[1], [2, 3]], [2, 2]), "unequal"),
        (x([1], [2**62, 4]), "data of the shape [1]"),
        (x([1], [-1]), "no rows"),
        (x([], [0]), "no rows"),
        (x([], [3, 0]), "no rows"),
        (x(None, [1]), "must have a list as data, and has null"),
        (x("1", [1]), "the text “1”"),
        (x([1], [1], "FLOAT"), "datatype FLOAT; known: BYTES, BOOL"),
        (x([1], [1], "BF16"), "datatype BF16"),
        (x([300], [1], "UINT8"), "UINT8 cannot hold"),
        (x([-1], [1], "UINT64"), "UINT64 cannot hold"),
        (x([2**64], [1], "INT64"), "INT64 cannot hold"),
        (x([10**400], [1], "FP64"), "FP64 cannot hold"),
        (x([1e39], [1], "FP32"), "too large for FP32"),
        (x([1.5], [1]), "1.5, which is no INT64"),
        (x([True], [1]), "true, which is no INT64"),
        (x([1], [1], "BOOL"), "1, which is no BOOL"),
        (x([None], [1], "FP32"), "null, which is no FP32"),
        (x(["1"], [1], "FP32"), "the text “1”, which is no FP32"),
        (x([1], [1], "BYTES"), "must hold texts"),
    ],
)
def test_what_is_wrong_with_a_tensor_is_said_by_its_name(tensor: dict[str, Any], words: str) -> None:
    [error] = refusal(tensor)
    assert error["field"] == "x"
    assert words in error["message"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [NaN]}]}', "no JSON"),
        (b"\xff", "no JSON"),
        (b"[]", "the request is an object"),
        (b'{"inputs": []}', "inputs"),
        (b'{"inputs": [{}]}', "inputs.0.name"),
        (b'{"inputs": [{"name": "", "datatype": "FP32", "shape": [1]}]}', "inputs.0.name"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": []}]}', "inputs.0.shape"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": ["a"]}]}', "inputs.0.shape.0"),
        (body(x([1], [1]), x([1], [1])), "x is there twice"),
        (body(x([1], [1]), outputs=[{"name": "y", "parameters": {"classification": 3}}]), "not offered"),
        (body(x([1], [1])) + b"rest", "no JSON"),
    ],
)
def test_bodies_that_are_none(text: bytes, words: str) -> None:
    with pytest.raises(InvalidInputs) as caught:
        read_request(text)
    assert words in str(caught.value)


def binary(
    size: Any, content: bytes, shape: list[int], kind: str = "INT64", **more: Any
) -> tuple[bytes, int]:
    tensor = {"name": "x", "shape": shape, "datatype": kind, "parameters": {"binary_data_size": size}, **more}
    head = body(tensor)
    return head + content, len(head)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (binary(8, bytes(8), [2]), "x 16 bytes are needed, and 8 came"),
        (binary(16, bytes(16), [1]), "x 8 bytes are needed, and 16 came"),
        (binary(16, bytes(8), [2]), "binary_data_size 16, and 8 bytes are there"),
        (binary(-8, bytes(8), [1]), "binary_data_size -8"),
        (binary("8", bytes(8), [1]), "the text “8”"),
        (binary(True, bytes(8), [1]), "binary_data_size true"),
        (binary(8, bytes(9), [1]), "1 bytes behind the JSON belong to no tensor"),
        (binary(8, bytes(8), [1], data=[1]), "has data, and binary_data_size too"),
        (binary(8, bytes(8), [2**60, 2**60]), "bytes are needed"),
        (binary(3, b"\1\0\0", [1], "BYTES"), "x"),
        (binary(5, b"\2\0\0\0a", [1], "BYTES"), "element 0 reaches beyond"),
        (binary(4, b"\xff\xff\xff\xff", [1], "BYTES"), "element 0 reaches beyond"),
        (binary(5, b"\1\0\0\0a", [2], "BYTES"), "2 elements are needed, and 1 came"),
        (binary(6, b"\1\0\0\0ab", [1], "BYTES"), "1 bytes are left behind"),
        (binary(0, b"", [2**62], "BYTES"), "elements are needed, and 0 came"),
    ],
)
def test_bytes_that_are_not_what_the_json_says(sent: tuple[bytes, int], words: str) -> None:
    with pytest.raises(InvalidInputs) as caught:
        read_request(*sent)
    assert words in str(caught.value)


@pytest.mark.parametrize("length", [-1, 10_000])
def test_a_length_of_the_header_that_cannot_be(length: int) -> None:
    with pytest.raises(InvalidInputs, match="Inference-Header-Content-Length"):
        read_request(body(x([1], [1])), length)


def test_rows_have_to_fit_the_declaration() -> None:
    assert refusal(x([3, 12], [2], name="n"), x([1, 2], [2], name="nn"), declared=DECLARED) == [
        {"field": "nn", "message": "is not an input of this version; did you mean n? (row 0)"}
    ]
    assert refusal(x([3, 12], [2], name="n"), declared=DECLARED) == [
        {"field": "n", "message": "must be at most 9, and is 12 (row 1)"}
    ]
    assert refusal(x([[1.0, 2.0, 3.0]], [1, 3], "FP32", "v"), x([1], [1], name="n"), declared=DECLARED) == [
        {"field": "v", "message": "must have the shape 2, and has 3"}
    ]
    assert "is missing" in refusal(x([1.0, 2.0], [1, 2], "FP32", "v"), declared=DECLARED)[0]["message"]


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (x([1, 2], [1, 2], name="n"), "one value a row"),
        (x([1.5], [1], "FP32", "n"), "must be an integer, and is 1.5"),
        (x(["1"], [1], "BYTES", "n"), "must be an integer, and is the text"),
        (x([True], [1], "BOOL", "n"), "and is true"),
        (x([1], [1], name="flag"), "must be true or false"),
        (x([1], [1], name="text"), "must be a text"),
        (x([1.0], [1], "FP32", "v"), "must be a list"),
        (x(["a", "b"], [1, 2], "BYTES", "text"), "one value a row"),
        (x(["a"], [1], "BYTES", "names"), "must have a list a row"),
        (x([1], [1], name="names"), "must be a list"),
        (x([True, False], [1, 2], "BOOL", "v"), "must hold numbers"),
        (x([1, 2], [1, 2], "UINT8", "image"), "rows of columns"),
        (x([1], [1], "UINT8", "image"), "must be an image"),
        (x([0.5] * 4, [1, 2, 2], "FP32", "image"), "fraction"),
        (x(["?"], [1], "BYTES", "image"), "no base64"),
        (x([1, 2, 3], [3], name="n"), "has 3 rows, more than 2"),
    ],
)
def test_tensors_that_do_not_fit_their_field(tensor: dict[str, Any], words: str) -> None:
    others = [] if tensor["name"] == "n" else [x([1] * tensor["shape"][0], [tensor["shape"][0]], name="n")]
    errors = refusal(tensor, *others, declared=DECLARED, most_rows=2)
    assert [each["field"] for each in errors] == [tensor["name"]]
    assert words in errors[0]["message"]


def test_bytes_that_are_no_text_and_rows_of_different_numbers() -> None:
    data = bytes_of_elements(["a"])[:4] + b"\xff"
    with pytest.raises(InvalidInputs, match="no text"):
        rows_of(read_request(*binary(5, data, [1], "BYTES")), FREE)
    with pytest.raises(InvalidInputs, match="y has 2 rows, and x has 1"):
        asked(x([1], [1]), x([1, 2], [2], name="y"))


def test_nan_of_bytes_is_no_number() -> None:
    sent = binary(16, struct.pack("<dd", 1, float("nan")), [1, 2], "FP64")
    with pytest.raises(InvalidInputs, match="NaN"):
        rows_of(read_request(*sent), FREE)
    sent = binary(8, struct.pack("<d", float("nan")), [1], "FP64")
    with pytest.raises(InvalidInputs, match="nan"):
        rows_of(read_request(*sent), FREE)


def test_outputs_that_there_are_not() -> None:
    request = read_request(body(x([1], [1]), outputs=[{"name": "y"}]))
    with pytest.raises(InvalidInputs, match="y is no output; there are a, b"):
        write_answers([{"a": 1, "b": 2}], request, model_name="m")


@pytest.mark.parametrize(
    ("answers", "datatype", "shape", "values"),
    [
        ([1, 2], "INT64", [2], [1, 2]),
        ([1, 2.5], "FP64", [2], [1.0, 2.5]),
        ([2**63], "BYTES", [1], ["9223372036854775808"]),
        ([10**400, 1.5], "BYTES", [2], [str(10**400), "1.5"]),
        ([None, 1], "BYTES", [2], ["null", "1"]),
        (["a", 1], "BYTES", [2], ['"a"', "1"]),
        ([[1, 2], [3]], "BYTES", [2], ["[1, 2]", "[3]"]),
        ([[], []], "BYTES", [2], ["[]", "[]"]),
        ([["a"], ["b"]], "BYTES", [2, 1], ["a", "b"]),
        ([{"a": 1}, 2], "BYTES", [2], ['{"a": 1}', "2"]),
        ([True], "BOOL", [1], [True]),
        ([], "BYTES", [0], []),
    ],
)
def test_datatypes_of_answers(answers: list[Any], datatype: str, shape: list[int], values: list[Any]) -> None:
    [output] = outputs_of(answers)
    assert (output.name, output.datatype, output.shape, output.values) == ("output", datatype, shape, values)


def test_keys_that_some_answers_lack_are_null() -> None:
    outputs = {each.name: each.values for each in outputs_of([{"a": 1}, {"b": "x"}])}
    assert outputs == {"a": ["1", "null"], "b": ["null", '"x"']}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_elements_of_bytes_are_read_as_they_were_written(texts: list[str]) -> None:
    data = memoryview(bytes_of_elements(texts))
    assert [each.decode() for each in elements_of_bytes(data, len(texts))] == texts


@given(st.binary(max_size=60), st.integers(1, 9))
def test_any_bytes_are_elements_or_refused(data: bytes, items: int) -> None:
    try:
        elements = elements_of_bytes(memoryview(data), items)
    except ValueError:
        return
    assert len(elements) == items
    assert sum(map(len, elements)) + 4 * items == len(data)


def test_booleans_of_bytes() -> None:
    assert array_of_bytes(memoryview(b"\0\1\2"), "BOOL", 3).tolist() == [False, True, True]
    assert array_of_bytes(memoryview(b"\0\1"), "BOOL", 2).dtype == np.dtype(bool)
