"""Whether a new version becomes the champion, and which runs are kept to decide it on.

The policy: a new version must not be worse than the present one on runs that neither has seen. Where
there are none, two versions from the same runs are compared by their own validation; with different
runs behind them, their validations do not measure the same, and the present version stays. A version
that cannot be read serves nobody: any other one replaces it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from training.history.values import RunRecord
from training.promotion.comparison import Comparison

TOLERANCE = 0.0
"""Share by which the new version's error may exceed the present one's, where nobody says otherwise
(PROMOTION_TOLERANCE)."""

MAX_HELD_OUT = 8
"""Runs that are held out at most; more would cost time and hardly change the verdict."""


class Method(StrEnum):
    """What a verdict rests on; the gate has more where there is nothing to compare."""

    UNSEEN_RUNS = "unseen_runs"
    CHAMPION_UNREADABLE = "champion_unreadable"
    CROSS_VALIDATION = "cross_validation"
    NOT_COMPARABLE = "not_comparable"


@dataclass(frozen=True)
class Version:
    """What is known of a version without reading its artifact."""

    run_ids: frozenset[str]
    """Runs that it was trained on."""
    validation_error: float | None = None
    """`remaining_error` of its validation; None where it is not known."""


@dataclass(frozen=True)
class Verdict:
    """Whether to promote, and why, as a sentence for people."""

    promote: bool
    reason: str
    method: Method
    champion_error: float | None = None
    """Relative error of the remaining runtime; None where it was not measured."""
    candidate_error: float | None = None


def decide(
    champion: Version,
    candidate: Version,
    comparison: Comparison | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Judge a new version.

    Args:
        champion: The present version.
        candidate: The new one.
        comparison: On held-out runs; None, or one of no runs, where there are no unseen runs.
        tolerance: Share by which the candidate's error may exceed the champion's.
    """
    new = comparison.candidate_error if comparison else None
    if comparison and comparison.champion_reason is not None:
        reason = (
            f"The present version cannot be read ({comparison.champion_reason}): the new one replaces it."
        )
        if new is not None:
            reason += f" {_on(comparison)}, it misses the remaining runtime by {_percent(new)} on average."
        return Verdict(True, reason, Method.CHAMPION_UNREADABLE, None, new)
    if comparison and comparison.runs:
        return _judge(Method.UNSEEN_RUNS, _on(comparison), comparison.champion_error, new, tolerance)
    if champion.run_ids and champion.run_ids == candidate.run_ids:
        basis = f"In cross-validation on the {_count(len(candidate.run_ids), 'run')} that both learned from"
        errors = champion.validation_error, candidate.validation_error
        return _judge(Method.CROSS_VALIDATION, basis, *errors, tolerance)
    return Verdict(
        False,
        "There is no run that neither version has seen, and they learned from different runs "
        f"({len(champion.run_ids)} and {len(candidate.run_ids)}), so they cannot be compared: "
        "the present version stays.",
        Method.NOT_COMPARABLE,
    )


def _judge(method: Method, basis: str, old: float | None, new: float | None, tolerance: float) -> Verdict:
    if old is None or new is None:
        unknown = "present" if old is None else "new"
        reason = f"{basis}, the error of the {unknown} version is not known: the present version stays."
        return Verdict(False, reason, method, old, new)
    promote = new <= old * (1 + tolerance)
    reason = (
        f"{basis}, the new version misses the remaining runtime by {_percent(new)} on average and the "
        f"present one by {_percent(old)}"
    )
    if not promote:
        reason += ": the present version stays."
    elif new > old:
        reason += f", which is within the tolerance of {_percent(tolerance)}: it is promoted."
    else:
        reason += ": it is promoted."
    return Verdict(promote, reason, method, old, new)


def _on(comparison: Comparison) -> str:
    runs, moments = _count(comparison.runs, "run"), _count(comparison.cuts, "moment")
    return f"On {runs} that neither version has seen, at {moments}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _percent(share: float) -> str:
    return f"{100 * share:.{1 if share >= 0.1 else 2}f}%"


def select_held_out(history: Sequence[RunRecord], seen_run_ids: Collection[str]) -> list[str]:
    """Choose the runs that a new version is not trained on, so that it can be compared.

    About half of what the present version has not seen, the newest: the new version shall learn from
    the rest, and be judged on what the application does now. Runs without jobs do not count: nothing
    can be learned from them, nor measured.

    Args:
        history: Finished runs, oldest first.
        seen_run_ids: Runs that the present version was trained on.
    Returns:
        Ids in order of the history: none without unseen runs, otherwise at least one and at most
        eight, a quarter of the history (rounded up), and all but one run of it.
    """
    runs = [run.run_id for run in history if run.jobs]
    seen = set(seen_run_ids)
    unseen = [run_id for run_id in runs if run_id not in seen]
    most = min(MAX_HELD_OUT, -(-len(runs) // 4), max(len(runs) - 1, 0))
    count = min(-(-len(unseen) // 2), most)
    return unseen[len(unseen) - count :]
