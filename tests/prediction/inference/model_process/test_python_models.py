"""Python files in real processes: how their functions are called, and what becomes of each row."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prediction.inference.model_process.words import ModelFailed
from prediction.inference.questions import Prediction, Timing
from prediction.inference.records.documents import Role
from routers.serving.views import Predictions
from tests.support.asked_models import answers, array, errors, python_file, running, values


@pytest.mark.parametrize(
    ("signature", "expression"),
    [
        ("inputs", "inputs['a'] + inputs['b']"),
        ("row: dict", "row['a'] + row['b']"),
        ("row: 'dict[str, int]'", "row['a'] + row['b']"),
        ("inputs: 'whatever'", "inputs['a'] + inputs['b']"),
        ("a, b", "a + b"),
        ("a: int, b: int = 1", "a + b"),
        ("*, b, a, c=0", "a + b + c"),
        ("**row", "row['a'] + row['b']"),
    ],
)
async def test_predict_is_called_as_it_is_written(tmp_path: Path, signature: str, expression: str) -> None:
    async with running(python_file(tmp_path, f"def predict({signature}): return {expression}")) as model:
        assert await values(model, {"a": 1, "b": 2}, {"a": 3, "b": 4}) == [3, 7]


async def test_values_and_arrays_come_in_the_order_of_the_row(tmp_path: Path) -> None:
    async with running(python_file(tmp_path, "def predict(inputs): return list(inputs)")) as model:
        assert await values(model, {"b": array([1.0]), "a": 1, "c": array([2.0])}) == [["b", "a", "c"]]


async def test_a_single_argument_takes_the_only_input_of_its_name(tmp_path: Path) -> None:
    async with running(python_file(tmp_path, "async def predict(image): return image")) as model:
        assert await values(model, {"image": [1, 2]}, {"other": 1}) == [[1, 2], {"other": 1}]


async def test_a_load_that_the_file_has_imported_is_its_own_affair(tmp_path: Path) -> None:
    (tmp_path / "weights.py").write_text("def load(folder, really): ...")
    source = "from weights import load\ndef predict(x): return x"
    async with running(python_file(tmp_path, source)) as model:
        assert model.found["functions"] == ["predict"]


async def test_load_comes_first_and_only_once_with_the_folder(tmp_path: Path) -> None:
    (tmp_path / "weights.txt").write_text("7")
    (tmp_path / "words.py").write_text("FACTOR = 2")
    (tmp_path / "prediction.py").write_text("OWN = True")
    source = """
        import os, prediction, words
        loads = []
        async def load(folder):
            loads.append(int(open("weights.txt").read()) * (os.getcwd() == str(folder)))
        def predict(x): return {"loads": loads, "x": x * words.FACTOR, "own": prediction.OWN}
    """
    async with running(python_file(tmp_path, source)) as model:
        assert await values(model, {"x": 1}, {"x": 2}) == [
            {"loads": [7], "x": 2, "own": True},
            {"loads": [7], "x": 4, "own": True},
        ]
        assert model.found["functions"] == ["load", "predict"]
    assert not list(tmp_path.rglob("__pycache__"))


async def test_a_malformed_row_fails_alone(tmp_path: Path) -> None:
    source = """
        calls = []
        def predict_batch(rows):
            calls.append(len(rows))
            return [{"y": 1 / row["x"], "calls": list(calls)} for row in rows]
    """
    async with running(python_file(tmp_path, source)) as model:
        assert (await values(model, {"x": 1}, {"x": 2}))[0] == {"y": 1.0, "calls": [2]}
        found = await answers(model, {"x": 1}, {"x": 0}, {"z": 1}, {"x": 4})
        assert [answer.error for answer in found] == [
            None,
            "ZeroDivisionError: division by zero",
            "KeyError: 'x'",
            None,
        ]
        assert found[3].value["y"] == 0.25
        async with asyncio.timeout(10):  # what it writes is read beside its answers
            while "ZeroDivisionError" not in model.log:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("returned", ["[1]", "None", "3", "{'a': 1}", "'ab'"])
async def test_a_batch_of_another_length_is_asked_row_by_row(tmp_path: Path, returned: str) -> None:
    source = f"def predict_batch(rows): return {returned} if len(rows) > 1 else [rows[0]['x']]"
    async with running(python_file(tmp_path, source)) as model:
        assert await values(model, {"x": 5}, {"x": 6}) == [5, 6]


async def test_answers_are_json(tmp_path: Path) -> None:
    source = """
        import dataclasses, sys
        import numpy as np

        @dataclasses.dataclass
        class Point:
            x: float
            y: tuple

        endless = []
        endless.append(endless)
        kinds = {
            "numpy": {"a": np.float32(1.5), 2: np.arange(3), "b": np.array([np.nan]), "c": np.bool_(True)},
            "dataclass": Point(1.0, (1, [np.int64(2)])),
            "set": {"a": [1, {2}]},
            "bytes": b"x",
            "key": {(1, 2): 3},
            "nan": [float("nan"), float("-inf")],
            "complex": np.array([1j]),
            "endless": endless,
            "surrogate": "\\ud800",
            "huge": 10 ** 5000,
        }
        def predict(kind): return kinds[kind] if kind != "exit" else sys.exit("enough")
    """
    async with running(python_file(tmp_path, source)) as model:
        kinds = ["numpy", "dataclass", "nan", "surrogate"]
        assert await values(model, *({"kind": kind} for kind in kinds)) == [
            {"a": 1.5, "2": [0, 1, 2], "b": [None], "c": True},
            {"x": 1.0, "y": [1, [2]]},
            [None, None],
            "\ud800",
        ]
        kinds = ["set", "bytes", "key", "complex", "endless", "huge", "exit"]
        found = await errors(model, *({"kind": kind} for kind in kinds))
        assert found[0] == "The answer cannot be sent: set at ['a'][1] is no JSON."
        assert found[2] == "The answer cannot be sent: a key that is tuple is no JSON."
        assert all(found[:6])
        assert found[6] == "SystemExit: enough"


async def test_an_answer_that_nests_too_deep_is_an_error_of_its_row(
    tmp_path: Path,
) -> None:
    source = """
        import numpy as np

        def predict(levels):
            answer = np.zeros((1,) * 28)
            for _ in range(levels - 28):
                answer = [answer] if levels % 2 else {"a": answer}
            return answer
    """
    async with running(python_file(tmp_path, source)) as model:
        found = await answers(model, *({"levels": levels} for levels in (28, 127, 128, 129, 300)))
        too_deep = "The answer cannot be sent: it nests deeper than 128 levels."
        assert [each.error for each in found] == [None, None, None, too_deep, too_deep]
        for each in found[:3]:
            prediction = Prediction(
                "p", "m", 1, Role.PRIMARY, each.value, None, None, None, Timing(1.0, 1.0), []
            )
            assert json.loads(Predictions.of([prediction]).model_dump_json())


async def test_arrays_arrive_as_arrays(tmp_path: Path) -> None:
    source = "def predict(x): x[0] += 1; return [str(x.dtype), x.shape, x.tolist()]"
    async with running(python_file(tmp_path, source)) as model:
        numbers = np.arange(6, dtype="float32").reshape(2, 3)
        assert await values(model, {"x": array(numbers)}) == [["float32", [2, 3], [[1, 2, 3], [3, 4, 5]]]]


async def test_arrays_arrive_as_lists_without_numpy(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError")
    async with running(python_file(tmp_path, "def predict(x): return x")) as model:
        for numbers in (np.ones((2, 3), "float16"), np.array(True), np.zeros((2, 0), "int64")):
            assert await values(model, {"x": array(numbers)}) == [numbers.tolist()]


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("def predict(x: return x", "SyntaxError"),
        ("import nothing_of_this_name\ndef predict(x): return x", "No module named 'nothing_of_this_name'"),
        ("x = 1", "predict.py has neither a function predict nor predict_batch"),
        (
            "def load(folder): raise ValueError('no weights')\ndef predict(x): return x",
            "ValueError: no weights",
        ),
        ("import os\nprint('last words')\nos._exit(3)", "exit code 3"),
        ("import sys\nsys.exit(4)", "SystemExit: 4"),
    ],
)
async def test_what_does_not_load_says_why(tmp_path: Path, source: str, cause: str) -> None:
    with pytest.raises(ModelFailed) as failure:
        async with running(python_file(tmp_path, source)):
            pass
    assert cause in str(failure.value)
    if "print" in source:
        assert "last words" in str(failure.value)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("(row['x'] for row in rows)", [1, 2]),
        ("map(str, [row['x'] for row in rows])", ["1", "2"]),
        ("[row.pop('x') for row in rows] + rows.clear()", ["TypeError", "TypeError"]),
        ("take_apart(rows)", [1, 2]),
        ("iter(int, 1)", ["returned 2 answers for 1 rows", "returned 2 answers for 1 rows"]),
        ("None", ["returned NoneType for 1 rows", "returned NoneType for 1 rows"]),
        ("ValueError", ["type is no JSON", "type is no JSON"]),
        ("[ValueError('bad') if row['x'] == 2 else 'good' for row in rows]", ["good", "ValueError: bad"]),
        ("[10 ** 5000] * len(rows)", ["cannot be sent", "cannot be sent"]),
        ("sys.exit(3)", ["SystemExit: 3", "SystemExit: 3"]),
        ("interrupt()", ["KeyboardInterrupt", "KeyboardInterrupt"]),
    ],
)
async def test_whatever_a_batch_returns_each_row_has_its_answer(
    tmp_path: Path, returned: str, expected: list[Any]
) -> None:
    source = f"""
        import sys

        def take_apart(rows):
            found = [row.pop("x") for row in rows]
            rows.clear()
            return found

        def interrupt():
            raise KeyboardInterrupt

        def predict_batch(rows):
            return {returned}
    """
    async with running(python_file(tmp_path, source)) as model:
        found = await answers(model, {"x": 1}, {"x": 2})
        assert len(found) == 2
        for answer, wanted in zip(found, expected, strict=True):
            assert wanted == answer.value if answer.error is None else wanted in answer.error
        again = await answers(model, {"x": 1})
        assert len(again) == 1, "it goes on"


async def test_a_load_of_which_nothing_runs_is_told(tmp_path: Path) -> None:
    source = """
        def load(folder):
            yield open(folder / "weights")
        def predict(x): return x
    """
    with pytest.raises(ModelFailed, match="load is a generator"):
        async with running(python_file(tmp_path, source)):
            pass
