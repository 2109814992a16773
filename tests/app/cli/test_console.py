"""What is printed of what was stored: what programs and platforms wrote, among it."""

import pytest
from rich.console import RenderableType

from app.cli import console


@pytest.mark.parametrize(
    "drawn", [console.table(["Reason"], [["a\x1b[31mb\x9bc\0"]]), console.facts([("R", "a\x1b[31mb\x9bc\0")])]
)
def test_what_was_stored_gives_no_orders_to_a_terminal(
    drawn: RenderableType, capsys: pytest.CaptureFixture[str]
) -> None:
    console.show(None, lambda _: drawn, as_json=False)
    console.error("a\x1b[31mb\x9bc\0", "")
    found = capsys.readouterr()
    assert "a�[31mb�c�" in found.out
    assert "a�[31mb�c�" in found.err
    assert not {"\x1b", "\x9b", "\0"} & set(found.out + found.err)
