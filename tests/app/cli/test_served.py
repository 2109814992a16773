"""Which version a roll-back goes to."""

from itertools import pairwise

import pytest

from app.cli.served import served_before

History = list[int | None]


def changes(history: History, alias: str = "champion") -> list[dict[str, object]]:
    """As the service lists them, of what served in turn."""
    pairs = pairwise(history)
    return [{"alias": alias, "previous": before, "version": after} for before, after in pairs][::-1]


@pytest.mark.parametrize(
    ("history", "former"),
    [
        ([None], []),
        ([None, 1], []),
        ([None, 1, 2], [1]),
        ([None, 1, 2, 3], [2, 1]),
        ([None, 1, 2, 3, 2], [1]),  # a roll-back, and then one further back
        ([None, 1, 2, 3, 2, 1], []),
        ([None, 1, 2, 1], []),
        ([None, 1, 2, 1, 2], [1]),  # promoted again
        ([None, 1, 2, 1, 3], [1]),  # what was taken back is no choice any more
        ([None, 1, 2, None], [2, 1]),
        ([None, 1, 2, None, 3], [2, 1]),
        ([None, 1, 1], []),
        ([4, 5], [4]),  # older changes are not kept
    ],
)
def test_roll_backs_go_back_only(history: History, former: list[int]) -> None:
    assert served_before(changes(history), history[-1]) == former


def test_other_aliases_do_not_count() -> None:
    assert served_before(changes([None, 7, 8], "challenger") + changes([None, 1, 2]), 2) == [1]
