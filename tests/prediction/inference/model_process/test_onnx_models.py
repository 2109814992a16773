"""ONNX models in real processes: rows become tensors, or are refused before onnxruntime sees them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from prediction.inference.declaration.declaration import Declaration
from prediction.inference.model_process.child import ModelConfig
from prediction.inference.model_process.frames import decode_answers, encode_request
from prediction.inference.model_process.plain import said_by
from prediction.inference.model_process.words import ModelFailed
from tests.support.asked_models import answers, array, errors, running, values
from tests.support.onnx_files import onnx_file, passing_on

FLOAT, INT64, TEXT = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


async def test_columns_of_their_own_names(tmp_path: Path) -> None:
    column: tuple[str, int] = ("N", 1)
    config = onnx_file(
        tmp_path,
        [
            helper.make_node("Cast", ["age"], ["age_float"], to=FLOAT),
            helper.make_node("Add", ["age_float", "weight"], ["sum"]),
            helper.make_node("Identity", ["city"], ["town"]),
        ],
        {"age": (INT64, column), "weight": (FLOAT, column), "city": (TEXT, column)},
        {"sum": (FLOAT, column), "town": (TEXT, column)},
    )
    async with running(config) as model:
        assert model.found["inputs"][0] == {"name": "age", "datatype": "int64", "shape": [None, 1]}
        assert model.found["outputs"][1] == {"name": "town", "datatype": "string", "shape": [None, 1]}
        good = {"age": 3, "weight": 1.5, "city": "Köln"}
        assert await values(model, good, good | {"age": 4.0, "weight": 1}) == [
            {"sum": [4.5], "town": ["Köln"]},
            {"sum": [5.0], "town": ["Köln"]},
        ]
        wrong = [{"age": 1.5}, {"age": None}, {"age": "3"}, {"weight": [1, 2]}, {"city": 3}, {"age": 1 << 80}]
        found = await errors(model, good, *(good | each for each in wrong), {"age": 1, "city": "x"}, good)
        assert found == [
            None,
            "age: a number is not whole, and the tensor wants int64",
            "age: it holds null, an object, or a number that is too large",
            "age: it is text, and the tensor wants int64",
            "weight: it has the shape (2,), and the tensor wants (1,)",
            "city: the tensor wants text",
            "age: it holds null, an object, or a number that is too large",
            "weight: weight is missing",
            None,
        ]


async def test_numbers_side_by_side(tmp_path: Path) -> None:
    async with running(passing_on(tmp_path)) as model:
        rows: list[dict[str, Any]] = [
            {"a": 1, "b": 2.5, "c": True},
            {"x": [1, 2, 3]},
            {"any": array(np.array([4, 5, 6], "int16"))},
        ]
        assert [each["y"] for each in await values(model, *rows)] == [[1, 2.5, 1], [1, 2, 3], [4, 5, 6]]
        found = await errors(
            model, {"a": 1, "b": 2}, {"x": [1, None, 3]}, {"x": [1, [2], 3]}, {"x": [1e39, 1, 1]}
        )
        assert found == [
            "a, b (input x): it has the shape (2,), and the tensor wants (3,)",
            "x: it holds null, an object, or a number that is too large",
            "x: its lists are of different lengths, or a number is too large",
            "x: a number is too large for float32",
        ]


async def test_numbers_stand_in_the_order_of_declaration(tmp_path: Path) -> None:
    numbers = {"type": "array", "items": "number", "shape": [2]}
    declared = Declaration.parse({"inputs": {"vector": numbers, "age": {"type": "number"}}})
    async with running(passing_on(tmp_path, plan=declared.plan())) as model:
        row = declared.row({"age": 41, "vector": [1, 2]})
        (answer,) = decode_answers(await model.ask(encode_request([row]), 30)).answers
        assert said_by(answer) == {"y": [1, 2, 41]}


async def test_a_plan_names_the_fields(tmp_path: Path) -> None:
    async with running(passing_on(tmp_path, plan={"inputs": {"x": {"from": ["c", "a", "b"]}}})) as model:
        assert await values(model, {"a": 1, "b": 2, "c": 3}) == [{"y": [3, 1, 2]}]
        assert await errors(model, {"a": 1, "b": 2}) == ["c, a, b (input x): c is missing"]


async def test_arrays_of_the_other_byte_order_never_arrive_as_such(tmp_path: Path) -> None:
    async with running(passing_on(tmp_path)) as model:
        numbers = np.array([1.0, -2.0, 3.0])
        assert await values(model, {"x": array(numbers)}) == [{"y": [1, -2, 3]}]
        (answer,) = await answers(model, {"x": array([np.nan, 1, np.inf])})
        assert answer.value == {"y": [None, 1, None]}


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
async def test_images_are_normalised(tmp_path: Path, layout: str) -> None:
    shape = ("N", 3, 4, 5) if layout == "NCHW" else ("N", 4, 5, 3)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]
    plan = {"images": {"photo": {"scale": 1 / 255, "mean": mean, "std": std, "layout": layout}}}
    pixels = np.random.default_rng(1).integers(0, 256, (2, 4, 5, 3), dtype="uint8")
    wanted = (pixels / 255 - np.array(mean)) / np.array(std)
    if layout == "NCHW":
        wanted = wanted.transpose(0, 3, 1, 2)
    async with running(passing_on(tmp_path, shape=shape, plan=plan)) as model:
        found = await values(model, *({"photo": array(each)} for each in pixels))
        assert np.allclose([each["y"] for each in found], wanted, atol=1e-6)
        small = array(np.zeros((3, 5, 3), "uint8"))
        (error,) = await errors(model, {"photo": small})
        assert error is not None
        assert error.startswith("photo (input x): it has the shape")


async def test_a_grey_image_where_the_batch_is_fixed(tmp_path: Path) -> None:
    async with running(passing_on(tmp_path, TensorProto.UINT8, (1, 1, 2, 3))) as model:
        pixels = np.arange(6, dtype="uint8").reshape(2, 3)
        found = await values(model, {"photo": array(pixels)}, {"photo": array(pixels + 1)})
        assert [each["y"] for each in found] == [[pixels.tolist()], [(pixels + 1).tolist()]]


async def test_a_larger_fixed_batch_is_filled(tmp_path: Path) -> None:
    async with running(passing_on(tmp_path, shape=(4, 2))) as model:
        assert await values(model, {"a": 1, "b": 2}, {"a": 3, "b": 4}) == [{"y": [1, 2]}, {"y": [3, 4]}]


async def test_rows_of_different_sizes(tmp_path: Path) -> None:
    async with running(passing_on(tmp_path, shape=("N", "length"))) as model:
        rows = [[1, 2], [3], [4, 5], []]
        assert [each["y"] for each in await values(model, *({"x": row} for row in rows))] == rows


async def test_what_is_not_of_single_rows_is_the_same_whoever_else_asks(tmp_path: Path) -> None:
    config = onnx_file(
        tmp_path,
        [
            helper.make_node("Identity", ["x"], ["row"]),
            helper.make_node("Identity", ["c1"], ["one"]),
            helper.make_node("Identity", ["c3"], ["three"]),
        ],
        {"x": (FLOAT, ["N", 2])},
        {"row": (FLOAT, ["N", 2]), "one": (FLOAT, [1]), "three": (FLOAT, [3])},
        {"c1": np.array([7], "float32"), "c3": np.array([1, 2, 3], "float32")},
    )
    async with running(config) as model:
        for count in (1, 2, 3, 4):
            found = await values(model, *({"x": [number, 0]} for number in range(count)))
            assert [each.pop("row") for each in found] == [[number, 0] for number in range(count)]
            assert found == [{"one": 7, "three": [1, 2, 3]}] * count


async def test_what_a_model_makes_of_all_rows_is_made_of_each_alone(tmp_path: Path) -> None:
    config = onnx_file(
        tmp_path,
        [
            helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=1),
            helper.make_node("Reshape", ["x", "flat"], ["all"]),
        ],
        {"x": (FLOAT, ["N", 2])},
        {"sum": (FLOAT, ["M", 1]), "all": (FLOAT, ["K"])},
        {"flat": np.array([-1], "int64")},
    )
    async with running(config) as model:
        for count in (1, 2, 3):
            found = await values(model, *({"x": [number, 1]} for number in range(count)))
            assert found == [{"sum": [number + 1], "all": [number, 1]} for number in range(count)]


@pytest.mark.parametrize("declared", [1, 2])
async def test_an_output_of_rows_is_that_whatever_size_is_declared(tmp_path: Path, declared: int) -> None:
    rows: tuple[str, int] = ("N", 2)
    config = onnx_file(
        tmp_path,
        [helper.make_node("Identity", ["x"], ["y"])],
        {"x": (FLOAT, rows)},
        {"y": (FLOAT, [declared, 2])},
    )
    async with running(config) as model:
        for count in (1, 2, 3):
            found = await values(model, *({"x": [number, 0]} for number in range(count)))
            assert found == [{"y": [number, 0]} for number in range(count)]


async def test_a_row_that_fails_within_the_model_fails_alone(tmp_path: Path) -> None:
    config = onnx_file(
        tmp_path,
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        {"x": (INT64, ["N"])},
        {"y": (FLOAT, ["N"])},
        {"table": np.array([10, 11, 12], "float32")},
    )
    async with running(config) as model:
        found = await answers(model, {"x": 2}, {"x": 7}, {"x": 0})
        assert [each.value and each.value["y"] for each in found] == [12, None, 10]
        assert "indices" in str(found[1].error)


async def test_weights_beside_the_model(tmp_path: Path) -> None:
    config = onnx_file(
        tmp_path,
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": (FLOAT, ["N", 2])},
        {"y": (FLOAT, ["N", 1])},
        {"w": np.array([[2], [3]], "float32")},
        external_data="weights.bin",
    )
    assert (tmp_path / "weights.bin").exists()
    async with running(config) as model:
        assert await values(model, {"a": 1, "b": 10}) == [{"y": [32]}]


@pytest.mark.parametrize("zipmap", [True, False])
async def test_a_classifier_of_scikit_learn(tmp_path: Path, zipmap: bool) -> None:
    features, labels = load_iris(return_X_y=True)
    trained = LogisticRegression(max_iter=500).fit(features, labels)
    exported = to_onnx(trained, features[:1].astype("float32"), options={"zipmap": zipmap})
    (tmp_path / "model.onnx").write_bytes(exported.SerializeToString())
    async with running(ModelConfig("onnx", tmp_path, "model.onnx")) as model:
        names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
        rows = [dict(zip(names, map(float, features[number]), strict=True)) for number in (0, 75, 149)]
        found = await values(model, *rows)
        label = "output_label" if zipmap else "label"
        assert [each[label] for each in found] == trained.predict(features[[0, 75, 149]]).tolist()
        wanted = trained.predict_proba(features[[0, 75, 149]])
        if zipmap:
            given = [list(each["output_probability"].values()) for each in found]
            assert list(found[0]["output_probability"]) == ["0", "1", "2"]
        else:
            given = [each["probabilities"] for each in found]
        assert np.allclose(given, wanted, atol=1e-5)


async def test_what_does_not_load_says_why(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match=r"has no input z; it has x"):
        async with running(passing_on(tmp_path, plan={"inputs": {"z": {"from": ["a"]}}})):
            pass
    with pytest.raises(ModelFailed, match=r"tensor\(bfloat16\), which cannot be asked"):
        async with running(passing_on(tmp_path, TensorProto.BFLOAT16)):
            pass
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ModelFailed, match="Protobuf parsing failed"):
        async with running(ModelConfig("onnx", tmp_path, "model.onnx")):
            pass
