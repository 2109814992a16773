"""Lines of a log by their numbers: each comes once, however the log grows and whoever asks when."""

import io
import random

import pytest

from submission.log_lines import ANSWER_BYTES, ANSWER_LINES, LINE_BYTES, Mark, lines_from

LONG = "x" * (LINE_BYTES - 1) + "ä" * LINE_BYTES  # a character where a line is cut


def polled(content: bytes, seed: int, *, remembering: bool = True) -> list[str]:
    """What somebody is told who asks while it is being written, in pieces of any length."""
    chance = random.Random(seed)
    told: list[str] = []
    offset, written, mark, finished = 0, 0, Mark(), False
    while not finished:
        ended = written == len(content)
        found, further = lines_from(
            io.BytesIO(content[:written]),
            offset,
            ended=ended,
            mark=mark,
            most_bytes=chance.randint(1, 50_000),
        )
        told += found.lines
        assert found.next == offset + len(found.lines)
        offset, finished = found.next, found.finished
        mark = further if remembering else Mark()
        written = min(len(content), written + chance.randint(0, max(10, len(content) // 8)))
    return told


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("remembering", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "one\n",
        "one\ntwo",
        "\n\n\n",
        f"{LONG}\nshort\n",
        f"a\n{LONG}",
        "x" * LINE_BYTES + "\nafter\n",
        "ä\r\n€",
    ],
    ids=["empty", "whole", "no-end", "blank", "long", "long-without-end", "just-as-long", "characters"],
)
def test_no_line_is_lost_and_none_comes_twice(text: str, seed: int, remembering: bool) -> None:
    told = polled(text.encode(), seed, remembering=remembering)
    whole, _ = lines_from(io.BytesIO(text.encode()), 0, ended=True, most_bytes=1 << 30)
    assert told == whole.lines
    assert max((len(line.encode()) for line in told), default=0) <= LINE_BYTES
    if len(text) < LINE_BYTES:
        assert told == (text.removesuffix("\n").split("\n") if text else [])
    else:
        assert "".join(told) == text.replace("\n", "")


def test_what_has_no_end_yet_waits_for_it() -> None:
    log = io.BytesIO(b"one\ntw")
    found, mark = lines_from(log, 0, ended=False)
    assert (found.lines, found.next, found.finished, mark) == (["one"], 1, False, Mark(1, 4))
    found, _ = lines_from(log, 1, ended=True, mark=mark)
    assert (found.lines, found.next, found.finished) == (["tw"], 2, True)


def test_what_is_beyond_the_end_is_waited_for() -> None:
    found, mark = lines_from(io.BytesIO(b"one\n"), 5, ended=False)
    assert (found.lines, found.next, found.finished, mark.number) == ([], 5, False, 1)


def test_an_answer_has_an_end() -> None:
    for log in (b"x" * 3 * ANSWER_BYTES, b"\n" * 3 * ANSWER_BYTES):
        found, mark = lines_from(io.BytesIO(log), 0, ended=True)
        assert not found.finished
        assert len(found.lines) <= ANSWER_LINES
        assert sum(len(line) + 1 for line in found.lines) <= ANSWER_BYTES + LINE_BYTES
        assert mark.position <= ANSWER_BYTES + LINE_BYTES


def test_bytes_that_are_no_text_are_lines_all_the_same() -> None:
    found, _ = lines_from(io.BytesIO(b"\x80" * (2 * LINE_BYTES + 2)), 0, ended=True)
    assert [len(line) for line in found.lines][:1] == [LINE_BYTES - 4]
