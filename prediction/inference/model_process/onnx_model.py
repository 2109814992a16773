"""An ONNX model that answers, in the service's own Python."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from prediction.inference.model_process.frames import ITEM_BYTES, Answer, Array, Row
from prediction.inference.model_process.plain import NoJson, to_json
from prediction.inference.model_process.tensors import (
    DTYPES,
    Tensor,
    Unfit,
    Wanted,
    fitted,
    is_numeric,
    picture,
    vector,
)

Fed = dict[str, Tensor]
"""Tensors by the names of a model's inputs."""


class NotAModel(Exception):
    """The model cannot be asked; the message says why."""


class _NotPerRow(Exception):
    """An output of several rows has no part of each."""


class OnnxModel:
    """A session of onnxruntime, and how rows become its inputs."""

    def __init__(self, file: Path, threads: int, plan: Mapping[str, Any]) -> None:
        """Load it; data beside it is found by its name.

        Args:
            plan: `inputs`: {tensor: {"from": [field, ...]}}; `images`: {field: see `tensors.picture`}. A
                tensor that is not in it takes the field of its own name; a single one takes the only field,
                or all numeric ones side by side.
        Raises:
            NotAModel: An input has a datatype that no value has.
            Exception: Whatever onnxruntime raises.
        """
        self._session = onnxruntime.InferenceSession(
            file, _options(threads), providers=["CPUExecutionProvider"]
        )
        self._plan = plan.get("inputs") or {}
        self._images = plan.get("images") or {}
        self._wanted = [_wanted(each) for each in self._session.get_inputs()]
        self._outputs = [each.name for each in self._session.get_outputs()]
        self._first_sizes = [_first_size(each) for each in self._session.get_outputs()]
        if unknown := self._plan.keys() - {each.name for each in self._wanted}:
            names = ", ".join(each.name for each in self._wanted)
            raise NotAModel(f"{file.name} has no input {', '.join(sorted(unknown))}; it has {names}")
        self._batches = [each.shape[0] if each.shape else 1 for each in self._wanted]
        self._is_dynamic = all(size is None for size in self._batches)
        self._goes_together = True

    def found(self) -> dict[str, Any]:
        """Names, datatypes and shapes (None: of any size) of inputs and outputs."""
        return {
            "inputs": [
                {"name": each.name, "datatype": each.dtype, "shape": list(each.shape)}
                for each in self._wanted
            ],
            "outputs": [
                {
                    "name": each.name,
                    "datatype": DTYPES.get(each.type, each.type),
                    "shape": [_size(size) for size in each.shape or []],
                }
                for each in self._session.get_outputs()
            ],
        }

    def answer(self, rows: Sequence[Row]) -> list[Answer]:
        """An answer for each row: {output: nested list or Array}; what does not fit is its own error."""
        answers: dict[int, Answer] = {}
        groups: dict[tuple[Any, ...], list[tuple[int, Fed]]] = defaultdict(list)
        for number, row in enumerate(rows):
            try:
                fed = {wanted.name: self._tensor(row, wanted) for wanted in self._wanted}
            except Unfit as error:
                answers[number] = Answer(error=str(error))
                continue
            alike = tuple(tensor.shape for tensor in fed.values()) if self._is_dynamic else (number,)
            groups[alike].append((number, fed))
        for group in groups.values():
            numbers = [number for number, _ in group]
            answers.update(zip(numbers, self._run([fed for _, fed in group]), strict=True))
        return [answers[number] for number in range(len(rows))]

    def _tensor(self, row: Row, wanted: Wanted) -> Tensor:
        """Raises Unfit: with the names of what does not fit."""
        fields = row.inputs(row.arrays)
        names = self._fields(fields, wanted)
        try:
            if missing := [name for name in names if name not in fields]:
                raise Unfit(f"{', '.join(missing)} is missing")
            if len(names) > 1:
                return vector([fields[name] for name in names], wanted)
            value = fields[names[0]]
            if isinstance(value, Array) and (names[0] in self._images or _looks_like_image(value, wanted)):
                return picture(value, self._images.get(names[0], {}), wanted)
            return fitted(value, wanted)
        except Unfit as error:
            where = ", ".join(names)
            place = where if where == wanted.name else f"{where} (input {wanted.name})"
            raise Unfit(f"{place}: {error}") from error

    def _fields(self, fields: Mapping[str, Any], wanted: Wanted) -> list[str]:
        """Names of what a tensor is made from."""
        if wanted.name in self._plan:
            return list(self._plan[wanted.name]["from"])
        if wanted.name in fields or len(self._wanted) > 1 or not fields:
            return [wanted.name]
        if len(fields) == 1 or len(wanted.item_shape) != 1:
            return [next(iter(fields))]
        return [name for name, value in fields.items() if is_numeric(value)] or [wanted.name]

    def _run(self, group: Sequence[Fed]) -> list[Answer]:
        """Rows of equal shapes at once; one by one where the model takes no more, or that fails."""
        try:
            if self._is_dynamic and (self._goes_together or len(group) == 1):
                together = {name: np.stack([fed[name] for fed in group]) for name in group[0]}
                return self._split(self._session.run(self._outputs, together), len(group))
            if not self._is_dynamic:
                return [self._alone(fed) for fed in group]
        except _NotPerRow:
            self._goes_together = False
        except Exception as error:  # onnxruntime has no common class for its own
            if len(group) == 1:
                return [Answer(error=f"onnxruntime: {error}")]
        return [answer for fed in group for answer in self._run([fed])]

    def _alone(self, fed: Fed) -> Answer:
        """A row where the size of the batch is fixed; it fills the whole of a larger one."""
        sizes = [1 if size is None else size for size in self._batches]
        filled = {}
        for wanted, size in zip(self._wanted, sizes, strict=True):
            tensor = fed[wanted.name]
            filled[wanted.name] = np.stack([tensor] * size) if wanted.shape else tensor.reshape(())
        outputs = self._session.run(self._outputs, filled)
        return self._split(outputs, max(sizes, default=1))[0]

    def _split(self, outputs: Sequence[Any], count: int) -> list[Answer]:
        """Outputs, each of all rows, as an answer per row. Raises _NotPerRow."""
        sizes = self._first_sizes if self._is_dynamic else [None] * len(outputs)
        per_output: list[list[Any]] = []
        for output, size in zip(outputs, sizes, strict=True):
            rows = _rows(output, count, size)
            if rows is None and self._is_dynamic and count > 1:
                raise _NotPerRow
            per_output.append([output] * count if rows is None else rows)
        return [self._answer(row) for row in zip(*per_output, strict=True)]

    def _answer(self, row: Sequence[Any]) -> Answer:
        """Numbers travel as they lie in memory: a thousand scores as text would take a millisecond."""
        named = dict(zip(self._outputs, row, strict=True))
        arrays = {name: each for name, each in named.items() if _travels(each)}
        try:
            value = to_json({name: None if name in arrays else each for name, each in named.items()})
        except NoJson as error:
            return Answer(error=f"The answer cannot be sent: {error}.")
        return Answer(value, {name: _array(each) for name, each in arrays.items()})


def _options(threads: int) -> "onnxruntime.SessionOptions":
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads turn between a request's operations, which takes a third off its time, not between requests.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _wanted(described: Any) -> Wanted:
    if described.type not in DTYPES:
        raise NotAModel(f"input {described.name} is {described.type}, which cannot be asked")
    return Wanted(described.name, DTYPES[described.type], tuple(_size(size) for size in described.shape))


def _size(size: Any) -> int | None:
    """None for what has a name, or nothing, instead of a number."""
    return size if isinstance(size, int) and size >= 0 else None


def _looks_like_image(value: Array, wanted: Wanted) -> bool:
    return value.dtype == "uint8" and len(value.shape) in (2, 3) and len(wanted.shape) == 4


def _travels(output: Any) -> bool:
    return isinstance(output, np.ndarray | np.generic) and output.dtype.name in ITEM_BYTES


def _array(output: Any) -> Array:
    little = np.ascontiguousarray(output, output.dtype.newbyteorder("<"))
    return Array(output.dtype.name, output.shape, little.tobytes())


def _first_size(output: Any) -> int | None:
    """Of a tensor, as the model declares it."""
    return _size(output.shape[0]) if output.shape else None


def _rows(output: Any, count: int, size: int | None) -> list[Any] | None:
    """One output's part of each row, the same whoever else is asked for; None: it cannot be told.

    Args:
        size: Of the first dimension, where the model declares it, though rows are of any number: what has
            that size belongs to all rows, and of 1 it is the only part; files that declare what is not so
            have one for each row nevertheless.
    """
    if isinstance(output, list):  # a sequence, of maps for instance
        is_of_rows = len(output) == count and (count == 1 or isinstance(output[0], dict))
        return output if is_of_rows else None
    if not isinstance(output, np.ndarray) or not output.ndim:
        return [output] * count
    if size not in (None, 1) and len(output) == size:
        return [output] * count if size != count else None
    if len(output) == count:
        return list(output)
    return [output[0]] * count if len(output) == size == 1 else None
