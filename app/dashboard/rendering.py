"""Templates, and how times, durations and numbers are written in them."""

import contextlib
import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from app.dashboard.visitors import csrf_token, has_session, principal_of
from app.version import VERSION
from common.auth import Permission

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(request: Request, template: str, /, **context: Any) -> HTMLResponse:
    """A page, or a part of one."""
    text = _templates.get_template(template).render(
        root=request.scope.get("root_path", ""),
        path=request.url.path,
        service=f"{request.url.scheme}://{request.url.netloc}",
        version=VERSION,
        csrf_token=csrf_token(request),
        me=principal_of(request),
        has_session=has_session(request),
        Permission=Permission,
        **context,
    )
    return HTMLResponse(text, headers={"Cache-Control": "no-store"})


def see_other(request: Request, page: str) -> RedirectResponse:
    """Go on to a page after something was done: to load that one again does nothing twice."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}{page}", status_code=303)


def moment(value: datetime | None) -> Markup:
    """A time in UTC; the page's script turns it into local time and keeps UTC for whoever points at it."""
    if value is None:
        return Markup("<span class=none>–</span>")
    at = value.astimezone(UTC)
    written = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    return Markup(f'<time datetime="{at.isoformat()}" title="{written}">{written}</time>')  # noqa: S704 - a time


def duration(seconds: float | None) -> str:
    """A duration with its units, two of them at most: `8.4 s`, `12 min 5 s`, `3 h 20 min`."""
    if seconds is None:
        return "–"
    sign, rest = ("−" if seconds < 0 else ""), abs(seconds)
    if rest < 59.5:
        return f"{sign}{rest:.1f} s" if rest < 9.95 else f"{sign}{rest:.0f} s"
    minutes, last_seconds = divmod(round(rest), 60)
    if minutes < 60:
        return f"{sign}{minutes} min {last_seconds} s" if last_seconds else f"{sign}{minutes} min"
    hours, minutes = divmod(round(rest / 60), 60)
    return f"{sign}{hours:,} h {minutes} min" if minutes else f"{sign}{hours:,} h"


def percent(share: float | None) -> str:
    """A share as a percentage without decimals; what is not certain is never written as 0 or 100."""
    if share is None:
        return "–"
    if 0 < share < 0.005:
        return "< 1%"
    if 0.995 < share < 1:
        return "> 99%"
    return f"{share:.0%}"


def number(value: float | None) -> str:
    """A number with thousands separated and at most two decimals."""
    return "–" if value is None else f"{value:,.2f}".rstrip("0").rstrip(".")


def counted(value: float | None, what: str) -> str:
    """A number of things: `1 run`, `1,200 runs`."""
    return f"{number(value)} {what}{'' if value == 1 else 's'}"


def figure(value: float | None) -> str:
    """A figure that a program reports, of whatever size, with the digits that count."""
    return "–" if value is None else f"{value:.6g}"


def size(count: float) -> str:
    """Bytes: `512 B`, `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{number(round(count, 1))} {unit}"
        count /= 1024
    return f"{number(round(count, 1))} GiB"


def milliseconds(value: float | None) -> str:
    """A short duration with the digits that count: `0.35 ms`, `12.3 ms`, `14.1 s`."""
    if value is None:
        return "–"
    return f"{value:.3g} ms" if value < 999.5 else duration(value / 1000)


def hours(value: float | None) -> str:
    """Executor-hours, or their price; of small values two digits that count."""
    if value is None:
        return "–"
    if value >= 9.95:
        return f"{value:,.1f}"
    if 0 < value < 1e-4:  # where `g` begins to write exponents
        return f"{value:.{1 - math.floor(math.log10(value))}f}"
    return f"{value:.2g}"


def as_json(value: Any) -> str:
    """What a program was asked or has answered: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)| \d\d:\d\d:\d\d UTC)")


def moments(text: str) -> Markup:
    """A sentence; the times in it, which are UTC, as `moment` writes them."""
    parts: list[Markup] = []
    end = 0
    for found in _TIME.finditer(text):
        with contextlib.suppress(ValueError):  # it only looks like one
            at = moment(datetime.fromisoformat(found[0].removesuffix(" UTC")).replace(tzinfo=UTC))
            parts += [escape(text[end : found.start()]), at]
            end = found.end()
    return Markup().join([*parts, escape(text[end:])])


_templates.filters |= {
    "counted": counted,
    "figure": figure,
    "hours": hours,
    "json": as_json,
    "milliseconds": milliseconds,
    "moment": moment,
    "moments": moments,
    "duration": duration,
    "percent": percent,
    "number": number,
    "size": size,
}
