from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.synthetic import CONTEXT, make_run
from training.history.values import JobRecord, RunRecord
from training.promotion.comparison import Comparison
from training.promotion.policy import MAX_HELD_OUT, Method, Version, decide, select_held_out

ERRORS = st.floats(0, 3)
OLD = Version(frozenset({"a", "b"}), 0.08)
SAME = Version(frozenset({"a", "b"}), 0.06)
NEW = Version(frozenset({"a", "b", "c"}), 0.01)


def compared(old: float | None, new: float | None, runs: int = 8, reason: str | None = None) -> Comparison:
    return Comparison(old, new, reason, runs, 6 * runs)


def test_a_better_version_is_promoted_with_both_figures() -> None:
    verdict = decide(OLD, NEW, compared(0.1, 0.081))
    assert verdict.promote
    assert verdict.method is Method.UNSEEN_RUNS
    assert (verdict.champion_error, verdict.candidate_error) == (0.1, 0.081)
    assert verdict.reason == (
        "On 8 runs that neither version has seen, at 48 moments, the new version misses the remaining "
        "runtime by 8.10% on average and the present one by 10.0%: it is promoted."
    )


def test_a_worse_version_is_not() -> None:
    verdict = decide(OLD, NEW, compared(0.1, 0.2, runs=1))
    assert not verdict.promote
    assert verdict.reason == (
        "On 1 run that neither version has seen, at 6 moments, the new version misses the remaining "
        "runtime by 20.0% on average and the present one by 10.0%: the present version stays."
    )


def test_as_much_is_tolerated_as_is_asked_for() -> None:
    verdict = decide(OLD, NEW, compared(0.1, 0.104), tolerance=0.05)
    assert verdict.promote
    assert "within the tolerance of 5.00%" in verdict.reason
    assert not decide(OLD, NEW, compared(0.1, 0.104)).promote
    assert decide(OLD, NEW, compared(0.1, 0.1)).promote


@pytest.mark.parametrize("champion", [OLD, Version(frozenset({"z"}))])
@pytest.mark.parametrize("new", [None, 2.5])
def test_a_version_that_cannot_be_read_is_replaced(champion: Version, new: float | None) -> None:
    verdict = decide(champion, NEW, compared(None, new, 8 if new else 0, "schema version 0"))
    assert verdict.promote
    assert verdict.method is Method.CHAMPION_UNREADABLE
    assert "schema version 0" in verdict.reason
    assert ("250.0%" in verdict.reason) == (new is not None)
    assert (verdict.champion_error, verdict.candidate_error) == (None, new)


@pytest.mark.parametrize("comparison", [None, compared(None, None, 0)])
def test_without_unseen_runs_versions_from_the_same_runs_are_compared(comparison: Comparison | None) -> None:
    verdict = decide(OLD, SAME, comparison)
    assert verdict.promote
    assert verdict.method is Method.CROSS_VALIDATION
    assert (verdict.champion_error, verdict.candidate_error) == (0.08, 0.06)
    assert all(text in verdict.reason for text in ("2 runs", "8.00%", "6.00%"))
    assert not decide(SAME, OLD, comparison).promote


def test_without_unseen_runs_versions_from_other_runs_are_not() -> None:
    verdict = decide(OLD, NEW)
    assert not verdict.promote
    assert verdict.method is Method.NOT_COMPARABLE
    assert "2 and 3" in verdict.reason
    assert (verdict.champion_error, verdict.candidate_error) == (None, None)
    unknown = Version(frozenset(), 0.1)
    assert decide(unknown, unknown).method is Method.NOT_COMPARABLE


@pytest.mark.parametrize(("old", "new"), [(None, 0.1), (0.1, None), (None, None)])
def test_what_is_not_known_promotes_nobody(old: float | None, new: float | None) -> None:
    verdict = decide(Version(OLD.run_ids, old), Version(OLD.run_ids, new))
    assert not verdict.promote
    assert "not known" in verdict.reason


def test_errors_that_are_no_numbers_promote_nobody() -> None:
    assert not decide(OLD, NEW, compared(0.1, float("nan"))).promote


@given(ERRORS, ERRORS, ERRORS, st.floats(0, 1), st.booleans())
def test_a_lower_error_never_turns_a_promotion_into_a_refusal(
    old: float, one: float, other: float, tolerance: float, unseen: bool
) -> None:
    lower, higher = sorted((one, other))

    def promoted(champion: float, candidate: float) -> bool:
        if unseen:
            return decide(OLD, NEW, compared(champion, candidate), tolerance=tolerance).promote
        versions = Version(OLD.run_ids, champion), Version(OLD.run_ids, candidate)
        return decide(*versions, tolerance=tolerance).promote

    assert promoted(old, lower) >= promoted(old, higher)
    assert promoted(higher, old) >= promoted(lower, old)
    assert promoted(old, old)


@given(ERRORS, ERRORS)
def test_reasons_are_sentences(old: float, new: float) -> None:
    for verdict in (
        decide(OLD, NEW, compared(old, new)),
        decide(OLD, NEW, compared(None, new, reason="damaged")),
        decide(Version(OLD.run_ids, old), Version(OLD.run_ids, new)),
        decide(OLD, NEW),
    ):
        assert verdict.reason[0].isupper()
        assert verdict.reason.endswith(".")
        assert verdict.method in tuple(Method)


def runs(count: int, without_jobs: Sequence[int] = ()) -> list[RunRecord]:
    job = JobRecord(0, 0.0, 1.0, 2, 2, 0.0)
    return [
        RunRecord(f"run-{i}", CONTEXT, float(i), () if i in without_jobs else (job,)) for i in range(count)
    ]


@pytest.mark.parametrize(
    ("history", "seen", "held_out"),
    [
        (0, [], []),
        (1, [], []),
        (1, [0], []),
        (2, [0], [1]),
        (2, [], [1]),
        (6, range(6), []),
        (6, range(5), [5]),
        (6, range(4), [5]),
        (12, range(6), [9, 10, 11]),
        (8, [7], [5, 6]),
        (40, range(10), range(32, 40)),
        (40, range(33), range(36, 40)),
    ],
)
def test_runs_to_hold_out(history: int, seen: Sequence[int], held_out: Sequence[int]) -> None:
    seen_ids = [f"run-{i}" for i in seen]
    assert select_held_out(runs(history), seen_ids) == [f"run-{i}" for i in held_out]


def test_runs_without_jobs_are_neither_held_out_nor_counted() -> None:
    assert select_held_out(runs(4, without_jobs=(1, 2, 3)), []) == []
    assert select_held_out(runs(4, without_jobs=(3,)), ["run-0"]) == ["run-2"]
    assert select_held_out([make_run(1, 4), make_run(2, 4)], ["run-1"]) == ["run-2"]


@given(st.integers(0, 60).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, 70)))))
def test_enough_is_left_to_learn_from(case: tuple[int, set[int]]) -> None:
    count, seen = case
    history, seen_ids = runs(count), {f"run-{i}" for i in seen}
    held_out = select_held_out(history, seen_ids)
    unseen = [run.run_id for run in history if run.run_id not in seen_ids]
    assert held_out == unseen[len(unseen) - len(held_out) :]
    assert len(held_out) <= min(MAX_HELD_OUT, ceil(count / 4))
    assert len(held_out) < count or count == 0
    assert bool(held_out) == (bool(unseen) and count > 1)
