"""A Python file that answers: its `predict` or `predict_batch`, called as docs/serving.md says.

Standard library alone: it runs in environments of others, too.
"""

import asyncio
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from prediction.inference.model_process.frames import Answer, Row
from prediction.inference.model_process.plain import NoJson, as_values, to_json

_FUNCTIONS = ("load", "predict", "predict_batch")
_ERROR_CHARACTERS = 2000
_ONE_ARGUMENT = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

Inputs = dict[str, Any]


class NotAModel(Exception):
    """The file answers nothing; the message says what it lacks."""


class PythonModel:
    """A program's file, imported, its `load` called."""

    def __init__(self, folder: Path, file: str) -> None:
        """Import it with the folder, and then its own, first on the path.

        Raises:
            NotAModel: It has neither `predict` nor `predict_batch`.
            BaseException: Whatever importing or `load` raises.
        """
        self._loop = asyncio.new_event_loop()
        path = folder / file
        sys.path[:0] = dict.fromkeys([str(folder), str(path.parent)])
        module = _imported(path)
        functions = {name: getattr(module, name, None) for name in _FUNCTIONS}
        self._functions = {name: each for name, each in functions.items() if callable(each)}
        if getattr(module, "load", None) is not None and module.load.__module__ != module.__name__:
            self._functions.pop("load", None)  # the file has imported it, for a purpose of its own
        if not self._functions.keys() & {"predict", "predict_batch"}:
            raise NotAModel(f"{file} has neither a function predict nor predict_batch")
        predict = self._functions.get("predict")
        self._parameter = _parameter_for_all(predict) if predict else None
        if load := self._functions.get("load"):
            self._check_has_run(self._result(load(folder)))

    @staticmethod
    def _check_has_run(result: Any) -> None:
        """Raises NotAModel: `load` holds a `yield`, and nothing of it has run."""
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise NotAModel("load is a generator, of which nothing has run: it holds a yield")

    def found(self) -> dict[str, Any]:
        """Which functions the file has, and which Python runs it."""
        return {"functions": sorted(self._functions), "python": ".".join(map(str, sys.version_info[:3]))}

    def answer(self, rows: Sequence[Row]) -> list[Answer]:
        """An answer for each row; what one of them raises is its own error and no other's."""
        inputs = [row.inputs(as_values(row.arrays)) for row in rows]
        if "predict_batch" not in self._functions:
            return [self._one(each) for each in inputs]
        try:
            return self._batch(inputs)
        except BaseException as error:
            if len(inputs) == 1:
                return [_failed(error)]
        return [self._alone(each) for each in inputs]

    def _batch(self, inputs: list[Inputs]) -> list[Answer]:
        # Copies: a function that takes its list apart would change how many there are, and what comes again.
        results = self._result(self._functions["predict_batch"]([dict(each) for each in inputs]))
        if isinstance(results, Iterator):  # one more than there should be is enough to be refused
            results = list(islice(results, len(inputs) + 1))
        elif not isinstance(results, list | tuple):
            results = to_json(results)
        if not isinstance(results, list | tuple) or len(results) != len(inputs):
            count = f"{len(results)} answers" if isinstance(results, list | tuple) else type(results).__name__
            raise NotAModel(f"predict_batch returned {count} for {len(inputs)} rows, and no list of as many")
        return [_as_answer(result) for result in results]

    def _alone(self, inputs: Inputs) -> Answer:
        try:
            return self._batch([inputs])[0]
        except BaseException as error:
            return _failed(error)

    def _one(self, inputs: Inputs) -> Answer:
        predict = self._functions["predict"]
        try:
            if self._parameter is None or list(inputs) == [self._parameter]:
                result = self._result(predict(**inputs))
            else:
                result = self._result(predict(inputs))
        except BaseException as error:
            return _failed(error)
        return _as_answer(result)

    def _result(self, value: Any) -> Any:
        """What a function returned, or what it returns in the end where it is asynchronous."""
        return self._loop.run_until_complete(value) if inspect.isawaitable(value) else value


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise NotAModel(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # what its own classes were pickled with is found by this name
    spec.loader.exec_module(module)
    return module


def _parameter_for_all(function: Callable[..., Any]) -> str | None:
    """The name of the one parameter that takes all inputs as a dict; None where each has its own.

    A row whose only input has that very name is meant for it alone, though.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C
        return "inputs"
    if len(parameters) != 1 or parameters[0].kind not in _ONE_ARGUMENT:
        return None
    return parameters[0].name if _may_be_all(parameters[0]) else None


def _may_be_all(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty or parameter.name == "inputs":
        return True
    kind = getattr(annotation, "__origin__", annotation)
    if isinstance(kind, type):
        return issubclass(kind, dict) or kind is Mapping
    name = str(annotation).partition("[")[0].rpartition(".")[2]
    return name.lower() in ("dict", "mapping", "mutablemapping")


def _as_answer(result: Any) -> Answer:
    if isinstance(result, BaseException):
        return Answer(error=described(result))
    try:
        return Answer(to_json(result))
    except (NoJson, RecursionError) as error:
        reason = str(error) if isinstance(error, NoJson) else "it is nested too deep"
        return Answer(error=f"The answer cannot be sent: {reason}.")


def _failed(error: BaseException) -> Answer:
    """Its kind and text; the traceback goes to the model's log."""
    traceback.print_exception(error)
    return Answer(error=described(error))


def described(error: BaseException) -> str:
    """Kind and text of an error."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text[:_ERROR_CHARACTERS]
