"""When something is due next: intervals, cron expressions, and clocks that are changed."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.triggers import Cron, Every, Trigger, latest_due

MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def times(trigger: Trigger, start: str, count: int) -> list[str]:
    moment, found = datetime.fromisoformat(start).astimezone(UTC), []
    for _ in range(count):
        moment = trigger.next_after(moment)
        found.append(f"{moment:%Y-%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1", 1), ("90", 90), ("45s", 45), ("30m", 1800), ("24h", 86_400), ("7d", 604_800), (" 1.5H ", 5400)],
)
def test_intervals_have_a_unit_or_are_seconds(text: str, seconds: float) -> None:
    every = Every.parse(text)
    assert every.seconds == seconds
    assert every.next_after(MOMENT) == MOMENT + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.5", "-1", "soon", "h", "1w", "1 h", "1e9", "nan", "inf", "367d", "٣h", "9" * 5000, "1h\n2h"],
)
def test_what_is_no_interval_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="interval"):
        Every.parse(text)


def test_triggers_say_what_they_are() -> None:
    assert str(Every.parse("24H")) == "every 24h"
    assert str(Every.parse("90")) == "every 90s"
    assert str(Cron.parse("0  3 * *  *", "Europe/Berlin")) == "cron 0 3 * * * (Europe/Berlin)"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", "2026-03-04 05:07"),
        ("*/15 * * * *", "2026-03-04 05:15"),
        ("6 5 * * *", "2026-03-05 05:06"),
        ("0 3 * * *", "2026-03-05 03:00"),
        ("0 0 1 * *", "2026-04-01 00:00"),
        ("0 0 L * *", "2026-03-31 00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("0 0 13 * fri", "2026-03-06 00:00"),  # both days are named: either of them will do
        ("0/20 6 * * *", "2026-03-04 06:00"),
        ("0 2 ? * ?", "2026-03-05 02:00"),
        ("0 0 * * 5L", "2026-03-27 00:00"),
        ("0 0 * * MON#2", "2026-03-09 00:00"),
        ("0 0 LW * *", "2026-03-31 00:00"),
        ("0 0 * * 6-7", "2026-03-07 00:00"),
        ("0 0 * JAN,jun-Aug *", "2026-06-01 00:00"),
    ],
)
def test_cron_expressions_come_next(expression: str, expected: str) -> None:
    assert times(Cron.parse(expression), "2026-03-04T05:06:07+00:00", 1) == [expected]


@pytest.mark.parametrize(
    ("weekday", "day"),
    [("0", 8), ("7", 8), ("sun", 8), ("1", 9), ("Mon", 9), ("3", 4), ("5", 6), ("6", 7), ("1-5", 4)],
)
def test_weekdays_count_from_sunday(weekday: str, day: int) -> None:
    """4 March 2026 is a Wednesday."""
    assert times(Cron.parse(f"0 12 * * {weekday}"), "2026-03-04T00:00:00+00:00", 1) == [
        f"2026-03-{day:02} 12:00"
    ]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "daily",
        "@reboot",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "a * * * *",
        "٣ * * * *",
        "1,,2 * * * *",
        "9" * 5000 + " * * * *",
    ],
)
def test_what_is_no_cron_expression_is_told(expression: str) -> None:
    with pytest.raises(ValueError, match="cron"):
        Cron.parse(expression)


@pytest.mark.parametrize(
    ("foreign", "write"),
    [
        ("@every 5m", r"write \*/5 \* \* \* \*"),
        ("@every 6h", r"write 0 \*/6 \* \* \*"),
        ("@every 7m", "write minute, hour"),
        ("@every 1h30m", "hours that divide a day; write minute, hour"),
        ("@every 90m", "hours that divide a day; write minute, hour"),
        ("@every 30s", "its steps are minutes"),
        ("@every 1h", r"write 0 \* \* \* \*"),
        ("@every 60m0s", r"write 0 \* \* \* \*"),
        ("@every 24h", r"write 0 0 \* \* \*"),
        ("@every 7d", r"write 0 0 \* \* 0"),
        ("@every", "its steps are minutes"),
        ("CRON_TZ=Europe/Berlin 0 2 * * *", "CRON_TZ= is a field of its own, time_zone"),
        ("0 12 * * ? 2026", r"6 fields; without seconds and year it is 0 12 \* \* \?"),
        ("0 2 * * * root backup", r"7 fields; without seconds and year it is 0 2 \* \* \*"),
        ("0 2 x * * root backup", "write minute, hour"),
        ("0 0 2 * * ?", r"6 fields; without seconds and year it is 0 2 \* \* \?"),
        ("0 30 2 ? * MON-FRI *", r"7 fields; without seconds and year it is 30 2 \? \* MON-FRI"),
        ("0 0 12 ? * 2-6", "days of the week by name: Quartz counts them from 1 for Sunday"),
        ("cron(0 2 ? * MON-FRI *)", r"without seconds and year it is 0 2 \? \* MON-FRI$"),
        ("rate(5 minutes)", r"write \*/5 \* \* \* \*$"),
        ("rate(7 minutes)", "its steps are minutes"),
        ("@reboot", "nothing here starts with a machine; write minute, hour"),
        ("0 22-2 * * *", r"write 0 22-23,0-2 \* \* \*$"),
        ("0 0 * * FRI-MON", r"write 0 0 \* \* 5-6,0-1$"),
        ("0 0 * * sat-sun", r"write 0 0 \* \* 6-7$"),
        ("0 0 * NOV-FEB 1,5-2", r"write 0 0 \* 11-12,1-2 1,5-6,0-2$"),
        ("0 2 * * Sunday,wednesday", r"names have three letters in it, write 0 2 \* \* Sun,wed$"),
        ("0 2 1 September-dec Tues", r"write 0 2 1 Sep-dec Tue$"),
        ("0 0 15W * *", r"Bad day-of-month \(write minute, hour"),
        ("0 24 * * *", r"Bad hour \(write minute, hour"),
        ("0 0 * * 1#2/2", r"Bad day-of-week"),
    ],
)
def test_what_other_schedulers_write_is_told_as_cron(foreign: str, write: str) -> None:
    with pytest.raises(ValueError, match=write):
        Cron.parse(foreign)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 2 ? * *", "At 02:00 every day"),
        ("0 3 1-7 * 1", "At 03:00 on every day of month from 1 through 7 and on Monday"),
        ("0 3 */2 * 1", "At 03:00 on every second day of month if it's on Monday"),
        ("0 2 * * MON-FRI", "At 02:00 on Monday through Friday"),
        ("@hourly", "At the start of every hour"),
    ],
)
def test_what_recurs_is_told_in_words(expression: str, words: str) -> None:
    assert Cron.parse(expression).in_words == words


@pytest.mark.parametrize(
    ("macro", "expression"),
    [("@daily", "0 0 * * *"), ("@Hourly ", "0 * * * *"), ("@weekly", "0 0 * * 0"), ("@yearly", "0 0 1 1 *")],
)
def test_macros_of_cron_are_expressions(macro: str, expression: str) -> None:
    assert Cron.parse(macro) == Cron.parse(expression)


@pytest.mark.parametrize(
    ("zone", "write"),
    [("utc", "write UTC$"), ("europe/berln", "write Europe/Berlin$"), ("Mars", "such as UTC")],
)
def test_a_zone_that_is_none_says_what_to_write(zone: str, write: str) -> None:
    with pytest.raises(ValueError, match=write):
        Cron.parse("0 0 * * *", zone)


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 */30 2 mon#5"])
def test_a_day_that_never_comes_is_told(expression: str) -> None:
    with pytest.raises(ValueError, match="never comes"):
        Cron.parse(expression)


@pytest.mark.parametrize(
    "zone", ["", "Mars", "Europe", "../../etc/passwd", "/etc/localtime", "\0", "x" * 5000, "é", "UTC "]
)
def test_what_is_no_time_zone_is_told(zone: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        Cron.parse("0 0 * * *", zone)


def test_the_time_zone_decides() -> None:
    start = "2026-01-10T00:00:00+00:00"
    assert times(Cron.parse("0 3 * * *"), start, 1) == ["2026-01-10 03:00"]
    assert times(Cron.parse("0 3 * * *", "Europe/Berlin"), start, 1) == ["2026-01-10 02:00"]
    assert times(Cron.parse("0 3 * * *", "Asia/Kolkata"), start, 1) == ["2026-01-10 21:30"]
    assert times(Cron.parse("0 12 * * 0", "Pacific/Auckland"), start, 1) == ["2026-01-10 23:00"]


def test_by_the_clock_on_the_wall_in_summer_as_in_winter() -> None:
    """Clocks in Berlin go forward on 29 March 2026 and back on 25 October."""
    three = Cron.parse("0 3 * * *", "Europe/Berlin")
    assert times(three, "2026-03-28T00:00:00+01:00", 3) == [
        "2026-03-28 02:00",
        "2026-03-29 01:00",
        "2026-03-30 01:00",
    ]
    assert times(three, "2026-10-24T12:00:00+02:00", 2) == ["2026-10-25 02:00", "2026-10-26 02:00"]


def test_an_hour_that_is_left_out_is_made_up_for_once() -> None:
    half_past_two = Cron.parse("30 2 * * *", "Europe/Berlin")
    assert times(half_past_two, "2026-03-28T12:00:00+01:00", 2) == ["2026-03-29 01:00", "2026-03-30 00:30"]


def test_in_an_hour_that_comes_twice_it_is_due_once() -> None:
    half_past_two = Cron.parse("30 2 * * *", "Europe/Berlin")
    assert times(half_past_two, "2026-10-24T12:00:00+02:00", 2) == ["2026-10-25 00:30", "2026-10-26 01:30"]
    again = "2026-10-25T02:10:00+01:00"  # half past two was due almost an hour ago
    assert times(half_past_two, again, 1) == ["2026-10-26 01:30"]


def test_what_is_due_every_half_hour_is_so_when_clocks_change() -> None:
    often = Cron.parse("*/30 * * * *", "Europe/Berlin")
    assert times(often, "2026-10-25T02:00:00+02:00", 4) == [
        f"2026-10-25 {time}" for time in ("00:30", "01:00", "01:30", "02:00")
    ]
    assert times(often, "2026-03-29T01:30:00+01:00", 3) == [
        f"2026-03-29 {time}" for time in ("01:00", "01:30", "02:00")
    ]


ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
]

CRONS = st.builds(
    "{} {} {} {} {}".format,
    st.sampled_from(["*", "0", "30", "*/7", "5,45", "10-20"]),
    st.sampled_from(["*", "0", "1", "2", "1-3", "*/5", "23"]),
    st.sampled_from(["*", "1", "31", "*/10", "L"]),
    st.sampled_from(["*", "3", "10", "1-12/2"]),
    st.sampled_from(["*", "0", "7", "1-5", "sun"]),
)

CHANGES = [
    datetime(2026, 3, 29, 1),
    datetime(2026, 10, 25, 1),
    datetime(2011, 11, 6, 6),
    datetime(2011, 4, 2, 15),
]

MOMENTS = st.one_of(
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),
    st.builds(
        lambda change, seconds: change + timedelta(seconds=seconds),
        st.sampled_from(CHANGES),
        st.floats(-10_000, 10_000),
    ),
)


@settings(max_examples=500)
@given(CRONS, st.sampled_from(ZONES), MOMENTS)
def test_the_next_due_time_is_strictly_later(expression: str, zone: str, moment: datetime) -> None:
    cron = Cron.parse(expression, zone)
    moment = moment.replace(tzinfo=UTC)
    due = cron.next_after(moment)
    assert moment < due
    assert due.tzinfo is UTC
    assert due < cron.next_after(due)


@given(st.floats(1, 1e6), st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
def test_the_end_of_an_interval_is_strictly_later(seconds: float, moment: datetime) -> None:
    assert Every.parse(f"{seconds:.3f}").next_after(moment) > moment


@given(st.text(max_size=30), st.text("0123456789*/,-LW# monSUN", max_size=30))
@example("", "8-2,6NL")
@example("", "4-0")
def test_any_text_is_read_or_refused(text: str, nearly: str) -> None:
    for expression in (text, nearly, f"{nearly} * * * *", f"* * {nearly} * *", f"* * * * {nearly}"):
        with contextlib.suppress(ValueError):
            Cron.parse(expression)


@pytest.mark.parametrize(
    ("expression", "first", "expected"),
    [
        ("* * * * *", "2020-01-01T00:00:00+00:00", "2026-03-04 05:06"),
        ("0 3 * * *", "2026-03-01T03:00:00+00:00", "2026-03-04 03:00"),
        ("0 3 * * *", "2026-03-04T03:00:00+00:00", "2026-03-04 03:00"),
        ("0 0 1 * *", "2025-11-01T00:00:00+00:00", "2026-03-01 00:00"),
        ("0 0 1 1 *", "2024-01-01T00:00:00+00:00", "2026-01-01 00:00"),
        ("0 0 29 2 *", "2016-02-29T00:00:00+00:00", "2024-02-29 00:00"),
    ],
)
def test_of_what_was_missed_the_latest_counts(expression: str, first: str, expected: str) -> None:
    due = latest_due(Cron.parse(expression), datetime.fromisoformat(first), MOMENT)
    assert f"{due:%Y-%m-%d %H:%M}" == expected
