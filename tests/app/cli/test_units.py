"""Numbers as people read them."""

import pytest

from app.cli.units import band, duration, executor_hours, executors, moment, share


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (41.4, "41 s"),
        (119.6, "2 min 0 s"),
        (3599.7, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (-12, "-12 s"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert band(8, 12) == "8.0 s to 12 s"
    assert band(None, 12) == "–"
    assert [share(value) for value in (0.974, 0.0048, 0, None)] == ["97%", "0.5%", "0%", "–"]
    assert executor_hours(5400) == "1.5"
    assert (executors(1), executors(2), executors(None)) == ("1 executor", "2 executors", "–")
    assert moment(None) == "–"
    assert len(moment("2026-11-28T14:00:00Z")) == len("2026-11-28 14:00:00")
