"""Frames: what goes in comes out, and damaged ones are refused rather than read beyond their end."""

import json
import math
import random
import struct
from typing import Any

import numpy as np
import pytest

from prediction.inference.model_process.frames import (
    ITEM_BYTES,
    Answer,
    Array,
    FrameDamaged,
    Row,
    decode_answers,
    decode_request,
    encode_answers,
    encode_request,
)
from tests.support.asked_models import array


def framed(header: Any, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack(">I", len(text)) + text + body


@pytest.mark.parametrize("dtype", ITEM_BYTES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_rows_come_out_as_they_went_in(dtype: str, shape: tuple[int, ...]) -> None:
    numbers = np.arange(math.prod(shape)).astype(dtype).reshape(shape)
    row = Row(
        {"text": "ä\ud800", "none": None, "nested": [1, {"a": [2.5]}]}, {"x": array(numbers), "y": array([1])}
    )
    frame = encode_request([row, Row(), row])
    first, second, third = decode_request(frame)
    assert first.values == third.values == row.values
    assert second == Row({}, {})
    for each in (first, third):
        found = each.arrays["x"]
        assert (found.dtype, found.shape, bytes(found.data)) == (dtype, shape, numbers.tobytes())


def test_arrays_lie_where_they_can_be_used() -> None:
    frame = encode_request([Row({"a": "x" * n}, {"x": array(np.ones(n, "uint8"))}) for n in range(9)])
    start = np.frombuffer(frame, "uint8").ctypes.data
    for row in decode_request(frame):
        data = np.frombuffer(row.arrays["x"].data, "uint8")
        assert not data.size or (data.ctypes.data - start) % 8 == 0


def test_answers_come_out_as_they_went_in() -> None:
    sent = [Answer({"y": [1, None]}), Answer(error="ValueError: no"), Answer(None, {"z": array([1.5])})]
    found = decode_answers(encode_answers(sent, 0.25))
    assert found.compute_seconds == 0.25
    assert [answer.error for answer in found.answers] == [None, "ValueError: no", None]
    assert found.answers[0].value == {"y": [1, None]}
    assert found.answers[2].arrays["z"].shape == (1,)


def test_nan_is_null_in_answers_and_refused_in_questions() -> None:
    answer = Answer({"a": [float("nan"), 1.0], "b": (float("inf"), "x")})
    assert decode_answers(encode_answers([answer], 0)).answers[0].value == {
        "a": [None, 1.0],
        "b": [None, "x"],
    }
    with pytest.raises(ValueError):
        encode_request([Row({"x": float("nan")})])


def test_an_array_that_is_not_what_it_says_is_not_sent() -> None:
    for wrong in (
        Array("uint8", (3,), b"12"),
        Array("complex64", (1,), b"1" * 8),
        Array("uint8", (-1,), b""),
    ):
        with pytest.raises(ValueError):
            encode_request([Row({}, {"x": wrong})])


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0\0\0",
        b"\xff\xff\xff\xff{}",
        framed([]),
        framed({}),
        framed({"rows": [1]}),
        framed({"rows": [{"values": {}}]}),
        b"\0\0\0\x0e" + b'{"rows": NaN}\n',
        *(
            framed({"rows": [{"values": {}, "arrays": {"x": described}}]}, b"\0" * 16)
            for described in (
                None,
                {"dtype": "uint8", "shape": [17], "offset": 0},
                {"dtype": "uint8", "shape": [4], "offset": 13},
                {"dtype": "uint8", "shape": [4], "offset": -4},
                {"dtype": "uint8", "shape": [4], "offset": True},
                {"dtype": "uint8", "shape": [-1, -4], "offset": 0},
                {"dtype": "uint8", "shape": [1 << 40, 1 << 40], "offset": 0},
                {"dtype": "uint8", "shape": [1.0], "offset": 0},
                {"dtype": "object", "shape": [1], "offset": 0},
                {"dtype": "uint8", "shape": [1] * 17, "offset": 0},
            )
        ),
    ],
)
def test_damaged_frames_are_refused(frame: bytes) -> None:
    with pytest.raises(FrameDamaged):
        decode_request(frame)


def test_no_byte_that_flips_does_more_than_be_refused() -> None:
    chance = random.Random(7)
    frame = encode_request([Row({"a": [1, "x"]}, {"x": array(np.ones((2, 3), "float32"))})])
    for _ in range(2000):
        flipped = bytearray(frame)
        for _ in range(chance.randint(1, 4)):
            flipped[chance.randrange(len(flipped))] = chance.randrange(256)
        try:
            rows = decode_request(
                bytes(flipped[: chance.choice([len(flipped), chance.randrange(len(flipped))])])
            )
        except FrameDamaged:
            continue
        for row in rows:
            for each in row.arrays.values():
                assert len(each.data) == ITEM_BYTES[each.dtype] * math.prod(each.shape)
