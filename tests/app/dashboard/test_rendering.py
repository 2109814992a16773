"""How times, durations and numbers are written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.dashboard.rendering import (
    as_json,
    counted,
    duration,
    hours,
    milliseconds,
    moment,
    moments,
    number,
    percent,
)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, "–"),
        (0.0, "0.0 s"),
        (8.44, "8.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (59.96, "1 min"),
        (-75, "−1 min 15 s"),
        (3599.7, "1 h"),
        (12_000, "3 h 20 min"),
    ],
)
def test_durations_have_units(seconds: float | None, written: str) -> None:
    assert duration(seconds) == written


@pytest.mark.parametrize(
    ("share", "written"),
    [(None, "–"), (0, "0%"), (0.001, "< 1%"), (0.554, "55%"), (0.999, "> 99%"), (1, "100%"), (1.5, "150%")],
)
def test_what_is_not_certain_is_not_written_so(share: float | None, written: str) -> None:
    assert percent(share) == written


def test_numbers() -> None:
    assert [number(value) for value in (None, 3, 12_345.5, 0.125)] == ["–", "3", "12,345.5", "0.12"]
    written = [hours(value) for value in (None, 0, 0.0000834, 0.00123, 1.25, 1234.5)]
    assert written == ["–", "0", "0.000083", "0.0012", "1.2", "1,234.5"]
    shown = [milliseconds(value) for value in (None, 0, 0.352, 12.34, 999.4, 999.6, 65_000)]
    assert shown == ["–", "0 ms", "0.352 ms", "12.3 ms", "999 ms", "1.0 s", "1 min 5 s"]


def test_a_time_is_in_utc_for_whoever_has_no_script() -> None:
    noon = datetime(2026, 11, 28, 12, tzinfo=timezone(timedelta(hours=2)))
    assert "2026-11-28 10:00:00 UTC</time>" in moment(noon)
    assert 'datetime="2026-11-28T10:00:00+00:00"' in moment(noon)
    assert "time" not in moment(None)
    assert moment(datetime(2026, 1, 1, tzinfo=UTC)) == moment(
        datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    )


def test_things_are_counted() -> None:
    assert [counted(value, "run") for value in (0, 1, 1200)] == ["0 runs", "1 run", "1,200 runs"]


@pytest.mark.parametrize(
    "at", ["2026-11-28T10:00:00+00:00", "2026-11-28T10:00:00Z", "2026-11-28 10:00:00 UTC"]
)
def test_times_in_a_sentence_are_written_as_others(at: str) -> None:
    ten = moment(datetime(2026, 11, 28, 10, tzinfo=UTC))
    assert moments(f"{at}: started <b>, until {at}.") == f"{ten}: started &lt;b&gt;, until {ten}."


def test_what_only_looks_like_a_time_stays() -> None:
    for text in ("", "2026-99-99 10:00:00 UTC", "at 2026-11-28"):
        assert moments(text) == text


def test_values_are_json_and_texts_are_texts() -> None:
    assert [as_json(value) for value in (True, None, {"a": 1.0}, "None", "ü")] == [
        "true",
        "null",
        '{"a": 1.0}',
        "None",
        "ü",
    ]
