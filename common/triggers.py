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
        except (CronSimError, StopIteration, ValueError) as error:
            raise ValueError(
                f"{shown} is no cron expression, or one that never comes: {_WRITE_CRON}"
            ) from error
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
    if match := re.fullmatch(r"@every ([0-9]+)(m|h)", expression.strip().lower()):
        count, (step, whole) = int(match[1]), {"m": ("*/{} * * * *", 60), "h": ("0 */{} * * *", 24)}[match[2]]
        if 0 < count < whole and whole % count == 0:
            return f"cron does not count from when it was written; write {step.format(count)}"
        return f"cron does not count from when it was written; {_WRITE_CRON}"
    if len(fields) in (6, 7) and fields[0].isdecimal():
        return f"it has {len(fields)} fields; without seconds and year it is {' '.join(fields[1:6])}"
    return _WRITE_CRON


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
