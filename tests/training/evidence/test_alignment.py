"""Jobs of runs, aligned by what they are."""

from itertools import permutations

import numpy as np
import pytest

from training.evidence.alignment import align
from training.evidence.job_signatures import UNREPORTED, JobSignature, similarities


def job(name: str, tasks: int = 8, failed: bool = False) -> JobSignature:
    return JobSignature((name,), (tasks,), ((),), failed)


def jobs(letters: str) -> tuple[JobSignature, ...]:
    """A lower-case letter is a job that fails, a question mark one that was not reported."""
    return tuple(
        UNREPORTED if letter == "?" else job(letter.upper(), failed=letter.islower()) for letter in letters
    )


def aligned(run: str, others: str, *, ended: bool = True) -> list[int]:
    return align(jobs(run), jobs(others), ended=ended).tolist()


@pytest.mark.parametrize(
    ("run", "others", "partner"),
    [
        ("ABC", "ABC", [0, 1, 2]),
        ("ABcCD", "ABCD", [0, 1, -1, 2, 3]),
        ("ACD", "ABCD", [0, 2, 3]),
        ("ABXCD", "ABCD", [0, 1, -1, 2, 3]),
        ("AIIIZ", "AIIIIIZ", [0, 1, 2, 3, 6]),
        ("AIIIIIZ", "AIIIZ", [0, 1, 2, 3, -1, -1, 4]),
        ("XYZ", "ABC", [-1, -1, -1]),
        ("", "ABC", []),
        ("AB", "", [-1, -1]),
    ],
)
def test_a_run_that_has_ended(run: str, others: str, partner: list[int]) -> None:
    assert aligned(run, others) == partner


@pytest.mark.parametrize(
    ("run", "partner"),
    [
        ("A", [0]),
        ("AIII", [0, 1, 2, 3]),
        ("AIbI", [0, 1, -1, 2]),
        ("AIIX", [0, 1, 2, -1]),
        ("AIIZ", [0, 1, 2, 6]),
        ("AI??I", [0, 1, 2, 3, 4]),
        ("???I", [0, 1, 2, 3]),
        ("?A", [-1, 0]),
        ("A?????Z", [0, 1, 2, 3, 4, 5, 6]),
        ("A??X", [0, 1, 2, -1]),
        ("X", [-1]),
    ],
)
def test_a_run_in_progress(run: str, partner: list[int]) -> None:
    assert aligned(run, "AIIIIIZ", ended=False) == partner


def test_what_is_far_ahead_is_not_taken_for_the_latest_job() -> None:
    assert aligned("AIZ", "A" + "I" * 20 + "Z", ended=False) == [0, 1, -1]


@pytest.mark.parametrize("order", list(permutations("BCD")))
def test_neighbours_that_changed_places(order: tuple[str, ...]) -> None:
    run = "A" + "".join(order) + "E"
    assert aligned(run, "ABCDE") == ["ABCDE".index(letter) for letter in run]
    sizes = dict(zip("ABCDE", (1, 2, 5, 20, 1), strict=True))
    alike = tuple(job("A" if letter == "A" else "pool", sizes[letter]) for letter in run)
    others = tuple(job("A" if letter == "A" else "pool", sizes[letter]) for letter in "ABCDE")
    partner = align(alike, others, ended=True).tolist()
    assert tuple(others[at] for at in partner) == alike
    assert sorted(partner) == [0, 1, 2, 3, 4]


def test_a_job_without_the_stages_that_spark_skipped_is_the_same() -> None:
    whole = JobSignature(("load", "map", "collect"), (8, 8, 8), ((), (0,), (1,)))
    rest = JobSignature(("collect",), (8,), ((),))
    assert align((whole, rest), (whole, whole), ended=True).tolist() == [0, 1]


def test_similarities() -> None:
    same, other, failed = job("A"), job("B"), job("A", failed=True)
    found = similarities([same, JobSignature()], [same, other, failed, job("A", tasks=80), JobSignature()])
    assert found[0, 0] == pytest.approx(1.0)
    assert found[0, 1:3].max() < 0.5
    assert found[0, 2] == 0.0
    assert 0.5 < found[0, 3] < 1.0
    assert 0.5 < found[0, 4] < 1.0
    assert found[1, 4] == pytest.approx(1.0)


def test_long_runs_whose_jobs_all_differ() -> None:
    run = tuple(job(f"A{number}", number) for number in range(1000))
    others = tuple(each for number, each in enumerate(run) if number % 50)
    partner = align(run, others, ended=True)
    assert (partner >= 0).sum() == len(others)
    assert (np.diff(partner[partner >= 0]) == 1).all()
