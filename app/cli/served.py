"""Which versions of a model served in turn, as far as the changes of its alias tell."""

from collections.abc import Mapping, Sequence
from typing import Any

CHAMPION = "champion"


def served_before(changes: Sequence[Mapping[str, Any]], present: int | None) -> list[int]:
    """Versions that served before the present one, the latest first; none that was taken back.

    Whoever lets an earlier version serve again takes back what came after it, by a roll-back or by a
    promotion: roll-backs in a row go further back, never forward again.

    Args:
        changes: Of aliases, newest first, as the service lists them; old ones may be missing.
        present: Which version serves; None: none does.
    """
    former: list[int] = []
    for change in reversed([each for each in changes if each["alias"] == CHAMPION]):
        steps = (change["version"],) if former else (change["previous"], change["version"])
        for version in steps:
            if version in former:
                del former[former.index(version) :]
            if version is not None:
                former.append(version)
    if former and former[-1] == present:
        former.pop()
    return former[::-1]
