"""Scores of classes, as models give them: which is the highest, and how sure that is."""

from typing import Any

import numpy as np
import numpy.typing as npt

from prediction.inference.declaration.problems import AnswerMismatch

MOST_SCORES = 10
"""Of one answer, the highest."""

_NUMBERS = frozenset([int, float, type(None)])

_ROUNDING = 1e-6
"""By which a share of 32 bits may be more than 1."""


def scores_by_label(value: Any, labels: list[str] | None, softmax: bool) -> dict[str, float] | None:
    """Scores by label, the highest first, at most MOST_SCORES.

    Args:
        value: A list of numbers, or a dict of them by label, as scikit-learn's exports give it; in lists of
            one, where a row was not taken out of its batch.
        softmax: Whether they are logits, to be made shares of 1.
    Returns:
        None where one of them is no finite number, such as of a network that has diverged.
    Raises:
        AnswerMismatch: They are no scores, or there are more or fewer than labels.
    """
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list | dict):
        value = value[0]
    if isinstance(value, dict):
        names, scores = [str(name) for name in value], list(value.values())
    elif isinstance(value, list):
        names, scores = labels or [str(index) for index in range(len(value))], value
    else:
        raise AnswerMismatch("the scores are neither a list nor an object of numbers")
    if len(names) != len(scores):
        raise AnswerMismatch(f"there are {len(scores)} scores, and {len(names)} labels in signature.json")
    if not scores or not _NUMBERS.issuperset(map(type, scores)):
        raise AnswerMismatch("the scores are not one number for each class")
    try:
        found = np.array(scores, np.float64)  # null, of NaN, is NaN again
    except OverflowError:  # an integer of more digits than a float knows
        return None
    if not np.isfinite(found).all():
        return None
    shares = _softmax(found) if softmax else found
    order = np.argsort(-found, kind="stable")[:MOST_SCORES]  # among equals the first, as argmax has it
    return {names[index]: float(shares[index]) for index in order}


def share(value: Any) -> float | None:
    """A number from 0 to 1, and None of everything else."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(max(float(value), 0.0), 1.0) if -_ROUNDING <= value <= 1 + _ROUNDING else None


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # Without the highest taken off, logits of some hundreds are more than a float holds; what is further
    # below it than a float can say has no share.
    with np.errstate(over="ignore"):
        weights: npt.NDArray[np.float64] = np.exp(logits - logits.max())
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares
