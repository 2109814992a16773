"""Numbers with units, and times as people read them; pure."""

from datetime import datetime

_MINUTE, _HOUR = 60, 3600
_KIBI = 1024


def duration(seconds: float | None) -> str:
    """Such as `8.4 s`, `41 s`, `3 min 20 s` or `2 h 5 min`; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def band(lower_seconds: float | None, upper_seconds: float | None) -> str:
    """An interval of durations; a dash where it is not known."""
    if lower_seconds is None or upper_seconds is None:
        return "–"
    return f"{duration(lower_seconds)} to {duration(upper_seconds)}"


def share(value: float | None) -> str:
    """In percent; below ten with a decimal, as errors of good models are."""
    if value is None:
        return "–"
    return f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"


def executor_hours(executor_seconds: float) -> str:
    return f"{executor_seconds / _HOUR:.3g}"


def size(size_bytes: int) -> str:
    """Such as `12 B`, `1.5 KiB` or `64 MiB`."""
    value, units = float(size_bytes), ["B", "KiB", "MiB", "GiB", "TiB"]
    while round(value) >= _KIBI and len(units) > 1:
        value, units = value / _KIBI, units[1:]
    digits = 1 if units[0] != "B" and value < 10 and not value.is_integer() else 0
    return f"{value:.{digits}f} {units[0]}"


def moment(text: str | None) -> str:
    """An ISO 8601 time in the time zone of this machine; a dash for None."""
    if not text:
        return "–"
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def executors(number: int | None) -> str:
    if number is None:
        return "–"
    return f"{number} executor" + ("" if number == 1 else "s")


def number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}g}"
