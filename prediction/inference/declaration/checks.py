"""Questions with the answers that a model gave where it was trained, asked of its version before it answers.

An export may answer otherwise than the model that it was made of, in silence
(`findings/skl2onnx_exports_that_answer_otherwise.sh`), and so may another version of a library.
"""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field

MOST_CHECKS = 100
"""Of one version: they are asked together, and in the time of one question."""

_LONGEST_SHOWN = 80
_NO_MORE = 1e-6
"""That numbers around zero may differ by, whatever their tolerance."""


class Check(BaseModel, frozen=True):
    """One question."""

    inputs: Mapping[str, Any]
    """As in `inputs` of a question in JSON."""
    answer: Any
    """Of objects what is named here is compared, of lists everything."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 1e-3
    """Share of a number that it may be off by."""

    def difference(self, told: Any) -> str | None:
        """Where and how an answer differs, in words; None: nowhere."""
        return _difference(self.answer, told, self.tolerance, "answer")


def _difference(wanted: Any, told: Any, tolerance: float, place: str) -> str | None:
    if isinstance(wanted, Mapping) and isinstance(told, Mapping):
        lacking = next((key for key in wanted if key not in told), None)
        if lacking is not None:
            return f"{place} has no {_shown(lacking)}"
        places = [(wanted[key], told[key], f"{place}.{key}") for key in wanted]
    elif isinstance(wanted, list) and isinstance(told, list):
        if len(wanted) != len(told):
            return f"{place} has {len(told):,} elements instead of {len(wanted):,}"
        places = [
            (one, other, f"{place}[{i}]") for i, (one, other) in enumerate(zip(wanted, told, strict=True))
        ]
    elif _is_number(wanted) and _is_number(told):
        same = math.isclose(wanted, told, rel_tol=tolerance, abs_tol=_NO_MORE)
        return None if same else f"{place} is {told!r} instead of {wanted!r}"
    else:
        same = type(wanted) is type(told) and wanted == told
        return None if same else f"{place} is {_shown(told)} instead of {_shown(wanted)}"
    found = (_difference(one, other, tolerance, within) for one, other, within in places)
    return next((each for each in found if each is not None), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
