"""Lines of a log by their numbers: each comes once, however the log grows and whoever asks when."""

import io
import random

import pytest

from submission.log_lines import (
    ANSWER_BYTES,
    ANSWER_LINES,
    LINE_BYTES,
    LineSplitter,
    Mark,
    beginning_of,
    lines_from,
    lines_of,
    told_lines,
)

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
        "10%\r20%\r\n\r30%\r\r",
    ],
    ids=[
        "empty",
        "whole",
        "no-end",
        "blank",
        "long",
        "long-without-end",
        "just-as-long",
        "characters",
        "bar",
    ],
)
def test_no_line_is_lost_and_none_comes_twice(text: str, seed: int, remembering: bool) -> None:
    told = polled(text.encode(), seed, remembering=remembering)
    whole, _ = lines_from(io.BytesIO(text.encode()), 0, ended=True, most_bytes=1 << 30)
    assert told == whole.lines
    assert max((len(line.encode()) for line in told), default=0) <= LINE_BYTES + 100
    assert [line.partition(" … (cut")[0] for line in told] == [
        line if len(line) <= LINE_BYTES else "x" * (LINE_BYTES - 1) for line in lines_of(text)
    ]
    assert told == followed(text.encode(), seed)
    assert told == told_lines(text.encode())


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
    for log in ((b"x" * 99 + b"\n") * (ANSWER_BYTES // 30), b"\n" * 3 * ANSWER_BYTES):
        found, mark = lines_from(io.BytesIO(log), 0, ended=True)
        assert not found.finished
        assert len(found.lines) <= ANSWER_LINES
        assert sum(len(line) + 1 for line in found.lines) <= ANSWER_BYTES + LINE_BYTES
        assert mark.position <= ANSWER_BYTES + LINE_BYTES


def test_a_bar_without_a_line_end_is_told_by_number_while_it_grows() -> None:
    found, mark = lines_from(io.BytesIO(b"10%\r20%\r30%\r"), 0, ended=False)
    assert (found.lines, found.next, mark) == (["10%", "20%"], 2, Mark(2, 8))
    found, _ = lines_from(io.BytesIO(b"10%\r20%\r30%\r\n"), 2, ended=False, mark=mark)
    assert (found.lines, found.next) == (["30%"], 3)


def followed(content: bytes, seed: int) -> list[str]:
    """What somebody is told who follows it, in pieces of any length."""
    chance = random.Random(seed)
    splitter, told, position = LineSplitter(), [], 0
    while position < len(content):
        size = chance.randint(1, max(2, len(content) // 5))
        told += splitter.feed(content[position : position + size])
        position += size
    return told + splitter.end()


@pytest.mark.parametrize("seed", range(8))
def test_what_is_followed_comes_once_in_whatever_pieces_it_was_written(seed: int) -> None:
    odd = "a\u2028b\u0085c\vd\fe"
    text = f"one\r\n{odd}\n\n10%\r20%\r30%\nlast"
    assert followed(text.encode(), seed) == ["one", odd, "", "10%", "20%", "30%", "last"]


@pytest.mark.parametrize("seed", range(4))
def test_of_a_long_line_the_beginning_is_told_and_its_size(seed: int) -> None:
    long = "ä" * (5 << 19)
    before, cut, after = followed(f"before\n{long}\nafter\n".encode(), seed)
    assert (before, after) == ("before", "after")
    assert cut.startswith("ä" * 1000)
    assert cut.endswith("… (cut: the line has 5,242,880 bytes)")
    assert len(cut.encode()) < LINE_BYTES + 100


def test_a_bar_without_a_line_end_is_seen_while_it_grows() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"10%\r20%\r30%") == ["10%", "20%"]
    assert splitter.feed(b"\r") == []
    assert splitter.feed(b"\n40%") == ["30%"]
    assert splitter.end() == ["40%"]


def test_what_unicode_takes_for_the_end_of_a_line_is_text() -> None:
    text = "a\u2028b\u0085c\vd\fe\r\nnext\n\rlast"
    assert lines_of(text) == ["a\u2028b\u0085c\vd\fe", "next", "", "last"]
    assert "".join(lines_of(text, keepends=True)) == text
    assert lines_of("") == []
    assert lines_of("one\n", keepends=True) == ["one\n"]


@pytest.mark.parametrize(
    "content", ["", "a", "a\n", "a\r\n\r\nä\n\nlast", "1%\r2%\r", "x" * (1 << 20) + "\r\nafter\n"]
)
def test_a_line_begins_where_those_before_it_have_ended(content: str) -> None:
    lines = lines_of(content)
    log = content.encode()
    for number in range(len(lines) + 2):
        begins = beginning_of(io.BytesIO(log), number)
        assert begins.number <= number
        rest = told_lines(log[begins.position :])
        # At the very end a return may be half of an end, and what has none is no line yet.
        assert rest == told_lines(log)[begins.number :]
        assert begins.number == number or len(rest) <= 1
