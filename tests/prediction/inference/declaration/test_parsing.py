"""signature.json as people and launchers write it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction.inference.declaration.declaration import Declaration, TensorForm
from prediction.inference.declaration.problems import DeclarationError, InvalidInputs

LONG = {
    "inputs": {
        "image": {
            "type": "image",
            "mode": "RGB",
            "width": 224,
            "height": 112,
            "scale": 0.5,
            "mean": [0.1, 0.2, 0.3],
            "std": 2,
            "layout": "NHWC",
            "tensor": "pixels",
        },
        "age": {
            "type": "integer",
            "minimum": 2,
            "maximum": 150,
            "description": "In years",
            "tensor": "person",
        },
        "city": {"type": "string", "choices": ["Berlin", "Bonn"], "max_length": 100},
        "weight": {"type": "number", "default": 70.5, "tensor": "person"},
        "vector": {"type": "array", "items": "number", "shape": [4, -1]},
        "names": {"type": "array", "items": "string"},
        "flag": {"type": "boolean", "optional": True},
        "note": {"type": "any", "example": {"a": 1}},
        "short": "float | None",
    },
    "output": {"label": "digit", "confidence": "probability"},
}


def test_fields_for_a_page() -> None:
    declared = Declaration.parse(LONG)
    assert not declared.warnings
    fields = {each.name: each for each in declared.fields}
    assert list(fields) == list(LONG["inputs"])
    age = fields["age"]
    assert (age.type, age.required, age.minimum, age.maximum) == ("integer", True, 2, 150)
    assert (age.description, age.example, age.choices, age.shape) == ("In years", 2, None, None)
    assert (fields["city"].choices, fields["city"].example, fields["city"].max_length) == (
        ["Berlin", "Bonn"],
        "Berlin",
        100,
    )
    assert (fields["weight"].required, fields["weight"].default, fields["weight"].example) == (
        False,
        70.5,
        70.5,
    )
    assert fields["image"].shape == (112, 224, 3)
    assert fields["vector"].shape == [4, -1]
    assert not fields["flag"].required
    assert fields["note"].example == {"a": 1}
    assert (fields["short"].type, fields["short"].required) == ("number", False)


def test_the_example_is_taken() -> None:
    declared = Declaration.parse(LONG)
    row = declared.row(declared.example())
    assert row.arrays["image"].shape == (112, 224, 3)
    assert row.arrays["vector"].shape == (4, 1)
    assert row.values["city"] == "Berlin"


def test_plan_of_an_onnx_model() -> None:
    assert Declaration.parse(LONG).plan() == {
        "inputs": {"pixels": {"from": ["image"]}, "person": {"from": ["age", "weight"]}},
        "images": {
            "image": {"scale": 0.5, "mean": [0.1, 0.2, 0.3], "std": [2.0, 2.0, 2.0], "layout": "NHWC"}
        },
    }
    grey = Declaration.parse({"inputs": {"x": {"type": "image", "mode": "L"}}})
    assert grey.plan()["images"]["x"] == {"scale": 1.0, "mean": [0.0], "std": [1.0], "layout": None}
    assert Declaration.parse(None).plan() == {"inputs": {}, "images": {}}


def test_tensors_of_the_protocol() -> None:
    assert Declaration.parse(LONG).tensors() == [
        TensorForm("image", "UINT8", (-1, 112, 224, 3)),
        TensorForm("age", "INT64", (-1,)),
        TensorForm("city", "BYTES", (-1,)),
        TensorForm("weight", "FP64", (-1,)),
        TensorForm("vector", "FP32", (-1, 4, -1)),
        TensorForm("names", "BYTES", (-1, -1)),
        TensorForm("flag", "BOOL", (-1,)),
        TensorForm("note", "BYTES", (-1,)),
        TensorForm("short", "FP64", (-1,)),
    ]
    assert Declaration.parse({"inputs": {"x": {"type": "image", "mode": "L"}}}).tensors() == [
        TensorForm("x", "UINT8", (-1, -1, -1))
    ]
    assert Declaration.parse(None).tensors() == []


def hinted(hint: str) -> Declaration:
    return Declaration.parse({"inputs": {"x": hint, "y": "int | None"}})


@pytest.mark.parametrize(
    ("hint", "taken", "refused"),
    [
        ("int", 3, "3"),
        ("float", 3, "3"),
        ("str", "3", 3),
        ("bool", True, 1),
        ("'int'", 3, "3"),
        ("str | None", None, 3),
        ("Optional[int]", None, "3"),
        ("typing.Optional[int]", 3, "3"),
        ("Union[int, str]", "3", 3.5),
        ("int | str | None", None, []),
        ("list", [1, "a"], {}),
        ("dict", {"a": 1}, []),
        ("list[int]", [1, 2], [1, "2"]),
        ("list[int]", [], [True]),
        ("List[float]", [1, 2.5], [None]),
        ("Sequence[str]", ["a"], [1]),
        ("list[list[int]]", [[1], []], [[1.5]]),
        ("dict[str, float]", {"a": 1}, {"a": "b"}),
        ("Mapping[str, list[int]]", {"a": [1]}, {"a": 1}),
        ("list[int | None]", [1, None], ["a"]),
        ("list[Image]", [{"any": 1}], {}),
        ("Literal['a', 'b']", "a", "c"),
        ("Literal[1, 2]", 2, 3),
        ("Literal[1, 'a']", "a", "b"),
        ("Literal[True]", True, "x"),
    ],
)
def test_type_hints(hint: str, taken: Any, refused: Any) -> None:
    declared = hinted(hint)
    assert declared.row({"x": taken}).values["x"] == taken
    with pytest.raises(InvalidInputs):
        declared.row({"x": refused})
    assert declared.row(declared.example()).values["x"] == declared.example()["x"]


@pytest.mark.parametrize(
    "hint",
    [
        "np.ndarray",
        "list of 28 rows of 28 pixels, from 0 to 255",
        "",
        "int(",
        "tuple[int, int]",
        "Any",
        "object",
        "Literal[b'x']",
        "Literal[1.5]",
        "a if b else c",
        "lambda: 1",
        "list[" * 300 + "]" * 300,
        "x" * 5000,
        "'" * 4 + "int",
        "\0",
        "1 | 2",
        "dict[int]",
    ],
)
def test_hints_that_are_not_understood_take_anything(hint: str) -> None:
    declared = hinted(hint)
    for value in (None, 1, "a", [[1]], {"a": 1}):
        assert declared.row({"x": value}).values["x"] == value
    assert declared.row(declared.example())


def test_an_argument_that_may_be_none_is_given_none() -> None:
    assert hinted("int").row({"x": 1}).values == {"x": 1, "y": None}
    assert hinted("int").row({"x": "1", "y": "2"}, lenient=True).values == {"x": 1, "y": 2}


def test_hints_say_what_they_want() -> None:
    with pytest.raises(InvalidInputs, match=r"x must be list\[list\[int\]\]; \[1\]\[0\]: .*integer"):
        hinted("list[list[int]]").row({"x": [[1], ["a"]]})


@pytest.mark.parametrize(
    "inputs",
    [
        {"inputs": "dict"},
        {"inputs": "dict[str, Any]"},
        {"row": "Mapping[str, float]"},
        {"inputs": "Row"},
        None,
    ],
)
def test_a_function_of_one_dict_takes_any_keys(inputs: Any) -> None:
    declared = Declaration.parse({"inputs": inputs, "output": "str"})
    assert declared.extra_inputs
    assert declared.row({"a": 1}).values == {"a": 1}


def test_a_signature_of_the_digits() -> None:
    declared = Declaration.parse(
        {
            "inputs": {"image": "list of 28 rows of 28 pixels, from 0 to 255"},
            "output": {"digit": "int", "probability": "float"},
            "function": "predict_batch",
        }
    )
    assert not declared.warnings
    assert declared.row({"image": [[0, 255]]}).values == {"image": [[0, 255]]}
    found = declared.interpret({"digit": 7, "probability": 0.5})
    assert (found.label, found.confidence) == ("7", 0.5)


def test_keys_that_nobody_reads_are_told() -> None:
    field = {"type": "integer", "minimun": 3}
    declared = Declaration.parse(
        {"inputs": {"a": field, "b": "int"}, "output": {"scores": "s", "lables": ["a"]}, "author": "x"}
    )
    assert declared.warnings == (
        "unknown field author is ignored",
        "unknown field output.lables is ignored; did you mean labels?",
        "unknown field inputs.a.minimun is ignored; did you mean minimum?",
    )


@pytest.mark.parametrize("word", ["int", "float", "str", "bool", "list", "object"])
def test_other_words_for_types(word: str) -> None:
    declared = Declaration.parse({"inputs": {"x": {"type": word}, "y": "int"}})
    assert declared.row(declared.example())


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        ({"inputs": []}, "inputs: must be an object"),
        ({"inputs": "a table"}, "inputs: must be an object"),
        ({"inputs": {"a": 3}}, "inputs.a: must be a type"),
        ({"inputs": {"": "int", "b": "int"}}, "no name"),
        ({"inputs": {"n" * 201: "int", "b": "int"}}, "200 characters"),
        ({"inputs": {str(each): "int" for each in range(1001)}}, "1,000"),
        ({"inputs": {"a": {"type": "picture"}}}, "inputs.a.type: must be one of integer"),
        ({"inputs": {"a": {"type": 3}}}, "inputs.a.type"),
        ({"inputs": {"a": {"type": "integer", "minimum": "low"}}}, "inputs.a.minimum"),
        ({"inputs": {"a": {"type": "integer", "minimum": 3, "maximum": 2}}}, "minimum 3 is above maximum 2"),
        ({"inputs": {"a": {"type": "integer", "choices": []}}}, "inputs.a.choices"),
        ({"inputs": {"a": {"type": "integer", "default": "x"}}}, "inputs.a.default: must be an integer"),
        ({"inputs": {"a": {"type": "integer", "maximum": 1, "example": 2}}}, "inputs.a.example"),
        ({"inputs": {"a": {"type": "image", "width": 5}}}, "width and height"),
        ({"inputs": {"a": {"type": "image", "width": 0, "height": 1}}}, "inputs.a.width"),
        ({"inputs": {"a": {"type": "image", "width": 9999, "height": 9999}}}, "16,777,216 pixels"),
        ({"inputs": {"a": {"type": "image", "mode": "CMYK"}}}, "inputs.a.mode"),
        ({"inputs": {"a": {"type": "image", "fit": "crop"}}}, "inputs.a.fit"),
        ({"inputs": {"a": {"type": "image", "background": "white"}}}, "inputs.a.background"),
        ({"inputs": {"a": {"type": "image", "mean": [1, 2]}}}, "mean has 2 numbers for 3 channels"),
        ({"inputs": {"a": {"type": "image", "mode": "L", "std": [1, 2, 3]}}}, "3 numbers for 1 channels"),
        ({"inputs": {"a": {"type": "image", "std": [1, 0, 1]}}}, "std holds 0"),
        ({"inputs": {"a": {"type": "image", "scale": float("nan")}}}, "inputs.a.scale"),
        ({"inputs": {"a": {"type": "image", "default": "x"}}}, "inputs.a.default"),
        ({"inputs": {"a": {"type": "array", "items": "thing"}}}, "inputs.a.items"),
        ({"inputs": {"a": {"type": "array", "shape": []}}}, "inputs.a.shape"),
        ({"inputs": {"a": {"type": "array", "shape": [0]}}}, "dimension of 0"),
        ({"inputs": {"a": {"type": "array", "shape": [-2]}}}, "inputs.a.shape"),
        ({"inputs": {"a": {"type": "array", "shape": [10**4, 10**4]}}}, "10,000,000 items"),
        ({"inputs": {}, "extra_inputs": "yes"}, "extra_inputs: must be true or false"),
        ({"output": 3}, "output: must be"),
        ({"output": {"label": 3}}, "output.label"),
        ({"output": {"scores": "s", "labels": []}}, "output.labels"),
        ({"output": {"scores": "s", "labels": ["a", "a"]}}, "twice"),
        ({"output": {"scores": "s", "activation": "relu"}}, "output.activation"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(signature: Any, words: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        Declaration.parse(signature)
    assert str(caught.value).startswith("signature.json: ")
    assert words in str(caught.value)


json_of_any_kind = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["int", "image", "array"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=5)
            | st.sampled_from(
                ["inputs", "output", "type", "shape", "default", "choices", "labels", "mean", "width"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["inputs", "output", "extra_inputs", "x"]), json_of_any_kind))
def test_any_json_is_read_or_refused(signature: dict[str, Any]) -> None:
    try:
        declared = Declaration.parse(signature)
    except DeclarationError as error:
        str(error).encode()
        return
    declared.row(declared.example())
    assert len(declared.fields) == len(declared.inputs)
    declared.plan()
    declared.tensors()
