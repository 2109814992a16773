"""What a launcher reports of a running program, and what becomes of it."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints

from common.mongo.document import utc_now
from common.wire.specs import INT64_MAX, LONG_TEXT, WireModel
from submission.programs.documents import MOST_POINTS, CurvePoint, ProgramRun


def _as_utf8(text: object) -> object:
    """Half a surrogate pair, which JSON can say and MongoDB cannot hold, becomes a question mark."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else text


_Number = Annotated[float, Field(allow_inf_nan=False)]
_Text = Annotated[str, StringConstraints(max_length=LONG_TEXT), BeforeValidator(_as_utf8)]
_Figure = Annotated[str, BeforeValidator(_as_utf8)]
_Count = Annotated[int, Field(ge=0, le=INT64_MAX)]
Attempt = Annotated[int, Field(ge=1, le=INT64_MAX)]

_MOST_METRICS = 64
"""Names that a run may report, all together."""

_MOST_DATA = 100


class ProgressLine(WireModel):
    """A line that a program wrote to ENEL_PROGRESS_FILE."""

    progress: Annotated[float, Field(ge=0, le=1)] | None = None
    message: _Text | None = None
    step: _Number | None = None
    metrics: Annotated[dict[_Figure, _Number], Field(max_length=_MOST_METRICS)] = Field(default_factory=dict)
    data: _Text | None = None
    """Something that it learns from."""


class ProgressReport(WireModel):
    """What a program said since the last report; without lines it says that the program lives."""

    attempt: Attempt
    sequence: _Count
    """Reports before this one; one that came already changes nothing."""
    lines: list[ProgressLine] = Field(default_factory=list, max_length=1000)
    unreadable_lines: _Count = 0
    silent_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    log_bytes: _Count = 0


class EndReport(WireModel):
    """How a program ended that did not end well."""

    attempt: Attempt
    exit_code: Annotated[int, Field(ge=-(2**31), lt=2**31)]
    reason: _Text = ""


def changes_of(run: ProgramRun, report: ProgressReport) -> dict[str, Any]:
    """Fields of the run that the report changes; none where it was known already."""
    if report.sequence < run.sequence:
        return {}
    now = utc_now()
    fields: dict[str, Any] = {
        "sequence": report.sequence + 1,
        "heard_at": now,
        "silent_seconds": report.silent_seconds,
        "unreadable_lines": report.unreadable_lines,
        "log_bytes": report.log_bytes,
    }
    metrics, data = dict(run.metrics), list(run.data)
    curve, stride, points = list(run.curve), run.curve_stride, run.points
    for line in report.lines:
        if line.progress is not None:
            fields["progress"] = line.progress
        if line.message is not None:
            fields["message"] = line.message
        if line.data is not None and line.data not in data and len(data) < _MOST_DATA:
            data.append(line.data)
        if known := _known(line.metrics, metrics):
            metrics |= known
            if points % stride == 0:
                curve.append(CurvePoint(at=now, step=line.step, metrics=known))
            points += 1
            if len(curve) > MOST_POINTS:
                curve, stride = curve[::2], 2 * stride
    fields |= {"metrics": metrics, "data": data, "points": points, "curve_stride": stride}
    return fields | {"curve": [point.model_dump() for point in curve]}


def _known(said: dict[str, float], metrics: dict[str, float]) -> dict[str, float]:
    """Of what a line says, as many names as there is room for; as MongoDB takes them."""
    room = _MOST_METRICS - len(metrics)
    kept: dict[str, float] = {}
    for name, value in said.items():
        name = name.replace("\0", "")[:100]
        if name and (name in metrics or len(kept.keys() - metrics.keys()) < room):
            kept[name] = value
    return kept
