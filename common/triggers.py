"""When something that recurs is due next: at an interval, or by a cron expression."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}

_LONGEST_SECONDS = 366 * 86_400

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_DAY_OF_MONTH, _DAY_OF_WEEK = 2, 4

_ENDS: tuple[tuple[int, int] | tuple[int, int, str], ...] = (
    (0, 59),
    (0, 23),
    (1, 31),
    (1, 12, "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"),
    (0, 6, "SUN MON TUE WED THU FRI SAT"),
)
"""First and last of each field, and their names."""

_SPELLED_OUT = re.compile(
    r"(?i)\b(jan|feb|mar|apr|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)"
    r"(?:uary|ruary|ch|il|e|y|ust|t|tember|ober|ember|day|s|sday|nesday|rs|rsday|urday)\b"
)

_WEEKDAYS_BY_NAME = ", with days of the week by name: Quartz counts them from 1 for Sunday, cron from 0"

_WRITE_CRON = (
    "write minute, hour, day of month, month and day of week, such as 30 2 * * 1-5, or one of "
    + ", ".join(_MACROS)
)


class Trigger(Protocol):
    def next_after(self, moment: datetime) -> datetime:
        """The next due time, strictly later."""


@dataclass(frozen=True)
class Every:
    """At a fixed interval."""

    text: str
    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Every":
        """From seconds, or a number with a unit: `90`, `30m`, `24h`, `7d`. Raises ValueError."""
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhd]?)", text.strip().lower())
        seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
        if not 1 <= seconds <= _LONGEST_SECONDS:
            raise ValueError(
                "an interval is a number of seconds, or such as 30m, 24h or 7d; at least a second"
            )
        return cls(text.strip().lower(), seconds)

    def next_after(self, moment: datetime) -> datetime:
        return moment + timedelta(seconds=self.seconds)

    def __str__(self) -> str:
        return f"every {self.text}" + ("s" if self.text[-1].isdigit() else "")


@dataclass(frozen=True)
class Cron:
    """By cron's five fields as Debian's cron reads them: Sunday is 0, changes of the clock are minded."""

    expression: str
    time_zone: str = "UTC"

    @classmethod
    def parse(cls, expression: str, time_zone: str = "UTC") -> "Cron":
        """From five fields, or a macro such as `@daily`.

        Raises:
            ValueError: It is no expression, never comes, or the time zone is unknown; says what to write.
        """
        shown = repr(expression[:100])
        fields = _MACROS.get(expression.strip().lower(), expression).split()
        if len(fields) != 5:
            raise ValueError(f"{shown} is no cron expression: {_instead(expression, fields)}")
        for day in (_DAY_OF_MONTH, _DAY_OF_WEEK):
            if fields[day] == "?":  # Quartz and the spark-operator write so what says nothing
                fields[day] = "*"
        try:
            zone = ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{time_zone[:100]!r} is not a time zone: {_write_zone(time_zone)}") from error
        try:
            next(CronSim(" ".join(fields), datetime(2024, 1, 1, tzinfo=zone)))
        except (CronSimError, StopIteration, ValueError, AssertionError) as error:
            why = f"{error} ({_WRITE_CRON})" if str(error) else _WRITE_CRON
            if (short := _SPELLED_OUT.sub(r"\1", " ".join(fields))) != " ".join(fields) and _is_cron(short):
                why = f"names have three letters in it, write {short}"
            if (forwards := _without_wrapping(fields)) != fields and _is_cron(" ".join(forwards)):
                why = f"ranges go upwards in it, write {' '.join(forwards)}"
            raise ValueError(f"{shown} is no cron expression, or one that never comes: {why}") from error
        return cls(" ".join(fields), time_zone)

    def next_after(self, moment: datetime) -> datetime:
        local = moment.astimezone(ZoneInfo(self.time_zone))
        # In the hour that comes twice the next time on the clock may be one that has passed.
        due = (time.astimezone(moment.tzinfo) for time in CronSim(self.expression, local))
        return next(time for time in due if time > moment)

    @property
    def in_words(self) -> str:
        """Such as "At 02:30 on Monday through Friday", which shows how its two fields of days meet.

        Where neither begins with a star, cron takes a day that either of them names; else one that both do.
        """
        return CronSim(self.expression, datetime(2024, 1, 1)).explain()  # words know no zone

    def __str__(self) -> str:
        return f"cron {self.expression} ({self.time_zone})"


def _instead(expression: str, fields: list[str]) -> str:
    """What to write for what other schedulers read."""
    written = expression.strip().lower()
    if written == "@reboot":
        return f"nothing here starts with a machine; {_WRITE_CRON}"
    if called := re.fullmatch(r"cron\((.*)\)", written):  # of EventBridge
        return _instead(called[1].upper(), called[1].upper().split())
    if rate := re.fullmatch(r"rate\(([0-9]{1,6}) (minute|hour|day)s?\)", written):
        return _at_an_interval(f"{rate[1]}{rate[2][0]}")
    if written.startswith("@every"):
        return f"cron does not count from when it was written; {_at_an_interval(written[6:].strip())}"
    if zone := re.match(r"(cron_)?tz=", written):
        return f"{zone[0].upper()} is a field of its own, time_zone; {_WRITE_CRON}"
    if len(fields) in (6, 7):
        for begin in (1, 0):  # Quartz has seconds before, others a year behind
            rest = " ".join(fields[begin : begin + 5])
            if fields[0].isdecimal() and _is_cron(rest):
                by_name = _WEEKDAYS_BY_NAME if re.search(r"[0-9]", rest.split()[_DAY_OF_WEEK]) else ""
                return f"it has {len(fields)} fields; without seconds and year it is {rest}{by_name}"
    return _WRITE_CRON


def _without_wrapping(fields: list[str]) -> list[str]:
    """The fields, with ranges that go on from the beginning (`22-2`, `FRI-MON`) as two (`22-23,0-2`)."""
    return [
        ",".join(_forwards(term, *ends) for term in field.split(","))
        for field, ends in zip(fields, _ENDS, strict=True)
    ]


def _forwards(term: str, first: int, last: int, names: str = "") -> str:
    called = names.split()
    match = re.fullmatch(r"([0-9]{1,2}|[A-Z]{3})-([0-9]{1,2}|[A-Z]{3})", term.upper())
    numbers = [called.index(end) + first if end in called else end for end in match.groups()] if match else []
    if not all(str(number).isdecimal() for number in numbers) or not numbers:
        return term
    begin, end = map(int, numbers)
    if begin <= end or begin > last or end < first:  # out of bounds, half of it would be such a range again
        return term
    if names.startswith("SUN") and end == 0:
        return f"{begin}-7"
    return f"{begin}-{last},{first}-{end}"


def _is_cron(expression: str) -> bool:
    try:
        Cron.parse(expression)
    except ValueError:
        return False
    return True


def _at_an_interval(text: str) -> str:
    """What to write for an interval as Go has it (`90m`, `1h30m`), where cron has the like."""
    match = re.fullmatch(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:0{1,6}s)?", text)
    days, hours, minutes = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    every = 24 * 60 * days + 60 * hours + minutes
    if 0 < every < 60 and 60 % every == 0:
        return f"write */{every} * * * *"
    if every in (60, 24 * 60, 7 * 24 * 60):
        return f"write {({60: '0 * * * *', 24 * 60: '0 0 * * *'}).get(every, '0 0 * * 0')}"
    if every and every % 60 == 0 and 24 * 60 % every == 0:
        return f"write 0 */{every // 60} * * *"
    return f"its steps are minutes that divide an hour, and hours that divide a day; {_WRITE_CRON}"


def _write_zone(text: str) -> str:
    """What to write instead, as it is spelled where the text is nearly one."""
    spelled = {name.lower(): name for name in available_timezones()}
    near = get_close_matches(text.strip().lower()[:100], spelled, n=1, cutoff=0.8)
    return f"write {spelled[near[0]]}" if near else "write one such as UTC or Europe/Berlin"


def latest_due(trigger: Trigger, first_due: datetime, now: datetime) -> datetime:
    """The last due time that is not later than now, of those from `first_due` on, which has passed.

    It is looked for from now backwards: a year of minutes need not be counted.
    """
    due = first_due
    for hours in (1, 24, 32 * 24, 366 * 24):
        since = now - timedelta(hours=hours)
        if since <= first_due:
            break
        if (found := trigger.next_after(since)) <= now:
            due = found
            break
    while (following := trigger.next_after(due)) <= now:
        due = following
    return due
