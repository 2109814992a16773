"""Where commands print: answers on stdout, for people or as JSON; progress and errors on stderr."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

T = TypeVar("T")

_PLAIN_WIDTH = 200
"""Characters of a line that no terminal bounds: a pipe must not cut ids in two."""


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else _PLAIN_WIDTH, highlight=False)


def show(answer: T, view: Callable[[T], RenderableType], *, as_json: bool) -> None:
    """Print an answer as JSON, or as a view of it for people."""
    if as_json:
        print_json(answer)
        return
    console = _console(stderr=False)
    if sys.stdout.isatty():
        console.print(view(answer), soft_wrap=False)
        return
    with console.capture() as drawn:
        console.print(view(answer), soft_wrap=False)
    # Tables fill their lines with blanks, which files and pipes have no use for.
    print_text("\n".join(line.rstrip() for line in drawn.get().split("\n")))


def tell(answer: Any, words: str, *, as_json: bool) -> None:
    """Print an answer as JSON, or tell people that it is done."""
    if as_json:
        print_json(answer)
    else:
        say(words)


def print_json(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")


def print_text(text: str) -> None:
    """Print as it is, with a line end."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def print_bytes(content: bytes) -> None:
    """Print as it is, whatever it is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def progress() -> Console:
    """Where progress is shown: nothing of it reaches a program that reads the answer."""
    return _console(stderr=True)


def say(text: str) -> None:
    """Tell whoever watches, on stderr."""
    _console(stderr=True).print(text, markup=False)


def error(message: str, advice: str) -> None:
    """What is wrong, and what to do about it: a line each, on stderr."""
    console = _console(stderr=True)
    console.print("[bold red]Error:[/] ", end="")
    console.print(_stored(" ".join(message.split())), soft_wrap=True)
    if advice:
        console.print(advice, markup=False, soft_wrap=True)


_CONTROLS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


def _stored(text: str) -> Text:
    """What was stored is no markup, and no order to a terminal."""
    return Text(text.translate(_CONTROLS))


def table(columns: Iterable[str], rows: Iterable[Iterable[str]], *, right: Iterable[str] = ()) -> Table:
    """A plain table; ids are never cut, other text wraps.

    Args:
        right: Columns of numbers, which stand at the right.
    """
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    numbers = set(right)
    for name in columns:
        drawn.add_column(
            name,
            justify="right" if name in numbers else "left",
            no_wrap=name in ("Id", "State", *numbers),
            overflow="fold",
        )
    for row in rows:
        drawn.add_row(*map(_stored, row))
    return drawn


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Names and values, one pair a line; what has no value is left out."""
    drawn = Table.grid(padding=(0, 2, 0, 0))
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in pairs:
        if value and value != "–":
            drawn.add_row(name, _stored(value))
    return drawn
