"""The protocol as a client that is not ours speaks it: tritonclient's bytes are read, and it reads ours."""

import base64
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from prediction.inference.declaration.declaration import Declaration
from prediction.inference.model_process.frames import Array
from prediction.inference.open_inference.answers import InferenceBody, write_answers
from prediction.inference.open_inference.requests import InferenceRequest, read_request
from prediction.inference.open_inference.rows import rows_of
from tests.support.images import colours, file_of

FREE = Declaration.parse(None)

DATATYPES = {
    "BOOL": bool,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


def tensor(name: str, values: np.ndarray[Any, Any], datatype: str, *, binary: bool) -> InferInput:
    made = InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def sent(*inputs: InferInput, **more: Any) -> InferenceRequest:
    body, length = InferenceServerClient.generate_request_body(list(inputs), **more)
    return read_request(body, length)


def unpacked(array: Array) -> np.ndarray[Any, Any]:
    return np.frombuffer(array.data, array.dtype).reshape(array.shape)


@pytest.mark.parametrize(
    ("datatype", "binary"),
    # The client sends FP16 as bytes alone.
    [(name, binary) for name in DATATYPES for binary in (True, False) if binary or name != "FP16"],
)
def test_numbers_of_every_datatype(datatype: str, binary: bool) -> None:
    values = np.array([[0, 1, 100], [1, 0, 7]]).astype(DATATYPES[datatype])
    rows = rows_of(sent(tensor("x", values, datatype, binary=binary)), FREE)
    made = [row.arrays["x"] for row in rows]
    assert {each.dtype for each in made} == {np.dtype(DATATYPES[datatype]).name}
    assert (np.stack([unpacked(each) for each in made]) == values).all()
    column = values[:, 2]
    scalars = [row.values["x"] for row in rows_of(sent(tensor("x", column, datatype, binary=binary)), FREE)]
    assert scalars == column.tolist()


@pytest.mark.parametrize("binary", [True, False])
def test_fields_of_every_type(binary: bool) -> None:
    picture = np.stack([colours(4, 6), 255 - colours(4, 6)])
    declared = Declaration.parse(
        {
            "inputs": {
                "age": {"type": "integer"},
                "weight": {"type": "number"},
                "member": {"type": "boolean"},
                "city": {"type": "string"},
                "vector": {"type": "array", "items": "number", "shape": [3]},
                "names": {"type": "array", "items": "string"},
                "image": {"type": "image", "width": 6, "height": 4},
                "lists": "list[list[int]]",
            }
        }
    )
    texts = np.array([["a", "ä"], ["", "d"]], dtype=object)
    request = sent(
        tensor("age", np.array([[3], [4]], np.int32), "INT32", binary=binary),
        tensor("weight", np.array([1.5, 2.5], np.float32), "FP32", binary=binary),
        tensor("member", np.array([True, False]), "BOOL", binary=binary),
        tensor("city", np.array(["Köln", "Bonn"], dtype=object), "BYTES", binary=binary),
        tensor("vector", np.array([[1, 2, 3], [4, 5, 6]], np.float64), "FP64", binary=binary),
        tensor("names", texts, "BYTES", binary=binary),
        tensor("image", picture, "UINT8", binary=binary),
        tensor("lists", np.array(["[[1]]", "[[2], []]"], dtype=object), "BYTES", binary=binary),
    )
    rows = rows_of(request, declared)
    assert [dict(row.values) for row in rows] == [
        {"age": 3, "weight": 1.5, "member": True, "city": "Köln", "names": ["a", "ä"], "lists": [[1]]},
        {"age": 4, "weight": 2.5, "member": False, "city": "Bonn", "names": ["", "d"], "lists": [[2], []]},
    ]
    assert [unpacked(row.arrays["vector"]).tolist() for row in rows] == [[1, 2, 3], [4, 5, 6]]
    assert (np.stack([unpacked(row.arrays["image"]) for row in rows]) == picture).all()
    assert rows[0] == declared.row({**rows[0].values, "vector": [1, 2, 3], "image": picture[0].tolist()})


def test_images_as_files_and_as_base64() -> None:
    declared = Declaration.parse({"inputs": {"image": {"type": "image"}}})
    data = file_of(colours(), "PNG")
    expected = declared.row({}, {"image": data})
    text = base64.b64encode(data)
    for elements, binary in (([data, data], True), ([text, text], True), ([text, text], False)):
        request = sent(tensor("image", np.array(elements, dtype=object), "BYTES", binary=binary))
        assert rows_of(request, declared) == [expected, expected]


def answered(body: InferenceBody) -> Any:
    return InferenceServerClient.parse_response_body(body.content, header_length=body.json_length)


ANSWERS = [
    {
        "digit": 7,
        "probability": 0.5,
        "name": "sieben ä",
        "sure": True,
        "shares": [[0.25], [0.75]],
        "why": {"a": None},
    },
    {"digit": -1, "probability": 1, "name": "", "sure": False, "shares": [[0.5], [0.5]], "why": [1, "x"]},
]


@pytest.mark.parametrize("binary", [True, False])
def test_answers_are_read_by_the_client(binary: bool) -> None:
    request = sent(
        tensor("x", np.array([1, 2]), "INT64", binary=True),
        request_id="42",
        outputs=[InferRequestedOutput(name, binary_data=binary) for name in ANSWERS[0]],
    )
    body = write_answers(ANSWERS, request, model_name="digits", model_version="3")
    assert (body.json_length is not None) == binary
    found = answered(body)
    response = found.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("42", "digits", "3")
    forms = {each["name"]: (each["datatype"], each["shape"]) for each in response["outputs"]}
    assert forms == {
        "digit": ("INT64", [2]),
        "probability": ("FP64", [2]),
        "name": ("BYTES", [2]),
        "sure": ("BOOL", [2]),
        "shares": ("FP64", [2, 2, 1]),
        "why": ("BYTES", [2]),
    }
    assert found.as_numpy("digit").tolist() == [7, -1]
    assert found.as_numpy("probability").tolist() == [0.5, 1]
    assert found.as_numpy("sure").tolist() == [True, False]
    assert found.as_numpy("shares").tolist() == [[[0.25], [0.75]], [[0.5], [0.5]]]
    names = [each.decode() if isinstance(each, bytes) else each for each in found.as_numpy("name")]
    assert names == ["sieben ä", ""]
    assert len(found.as_numpy("why")) == 2


def test_all_outputs_come_as_bytes_where_the_client_names_none() -> None:
    request = sent(tensor("x", np.array([1, 2]), "INT64", binary=False))
    assert request.binary
    assert request.outputs is None
    found = answered(write_answers([1.5, 2.5], request, model_name="m"))
    assert found.as_numpy("output").tolist() == [1.5, 2.5]
    assert found.get_output("output")["parameters"] == {"binary_data_size": 16}


def test_an_output_may_have_no_bytes() -> None:
    request = sent(tensor("x", np.array([1]), "INT64", binary=True))
    found = answered(write_answers([""], request, model_name="m"))
    assert found.as_numpy("output").tolist() == [b""]
