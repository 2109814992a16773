"""A run as a picture (SVG): its executors over time, and its remaining runtime, predicted and real."""

import math
from collections.abc import Sequence
from html import escape

from common.executions.documents import ApplicationState, ScalingDecision
from submission.outcomes.outcomes import RunTimeline, expected_at, replacements

_WIDTH, _HEIGHT = 900, 600
_LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 60, 20, 40, 45, 45
_PANEL_HEIGHT = (_HEIGHT - _TOP - _BOTTOM - _GAP) / 2

_BLUE, _ORANGE, _GREEN, _BLACK, _GREY = "#1f77b4", "#ff7f0e", "#2ca02c", "#222", "#ccc"
_OTHERS = "#9467bd"

Points = Sequence[tuple[float, float]]
"""Seconds since the application started, and a value."""


class _Panel:
    """One chart; draws in its own units, seconds and a value from 0 to `highest`."""

    def __init__(self, top: float, seconds: float, highest: float, label: str) -> None:
        self._top, self._seconds, self._highest = top, max(seconds, 1.0), max(highest, 1.0)
        middle = top + _PANEL_HEIGHT / 2
        self.parts = [
            _text(16, middle, label, f'text-anchor="middle" transform="rotate(-90 16 {middle:.1f})"')
        ]
        for value in _ticks(self._highest):
            y = self._y(value)
            self.parts.append(_path([(_LEFT, y), (_WIDTH - _RIGHT, y)], _GREY, 'stroke-width="0.6"'))
            self.parts.append(_text(_LEFT - 8, y + 4, f"{value:g}", 'text-anchor="end"'))
        for value in _ticks(self._seconds):
            x = self._x(value)
            self.parts.append(_path([(x, top), (x, top + _PANEL_HEIGHT)], _GREY, 'stroke-width="0.6"'))
            self.parts.append(_text(x, top + _PANEL_HEIGHT + 16, f"{value:g}", 'text-anchor="middle"'))
        self._labels = 0

    def line(self, points: Points, color: str, label: str, style: str = "") -> None:
        if points:
            self.parts.append(_path([self._at(point) for point in points], color, style))
            self._label(color, label)

    def steps(self, points: Points, color: str, label: str) -> None:
        corners: list[tuple[float, float]] = []
        for seconds, value in points:
            if corners:
                corners.append((seconds, corners[-1][1]))
            corners.append((seconds, value))
        self.line(corners, color, label, 'stroke-width="2"')

    def marks(self, points: Points, color: str, label: str) -> None:
        for point in points:
            x, y = self._at(point)
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}"/>')
        if points and label:
            self._label(color, label)

    def _at(self, point: tuple[float, float]) -> tuple[float, float]:
        return self._x(point[0]), self._y(point[1])

    def _x(self, seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / self._seconds

    def _y(self, value: float) -> float:
        return self._top + _PANEL_HEIGHT * (1 - min(value / self._highest, 1.0))

    def _label(self, color: str, label: str) -> None:
        y = self._top + 16 + 16 * self._labels
        self._labels += 1
        self.parts.append(_text(_WIDTH - _RIGHT - 8, y, label, f'text-anchor="end" fill="{color}"'))


def draw_run(
    timeline: RunTimeline, decisions: Sequence[ScalingDecision], others: Sequence[RunTimeline] = ()
) -> str:
    """As far as the run has come; what is not known yet is left out.

    Args:
        timeline: Of the driver in charge.
        decisions: All of the run, in their order; of their candidates those that it chose, or had.
        others: Of drivers that are not.
    """
    execution = timeline.execution
    target_seconds = execution.global_specs.max_runtime
    seen = [((moment - timeline.started_at).total_seconds(), count) for moment, count in timeline.seen]
    runtime = execution.runtime_seconds
    if runtime is not None and seen:
        seen.append((max(runtime, seen[-1][0]), seen[-1][1]))
    chosen = [(each.elapsed_seconds, float(each.chosen_scale_out or 0)) for each in decisions]
    replaced = replacements(decisions, timeline)
    predicted = [
        (each.elapsed_seconds, expected.remaining_seconds)
        for each in decisions
        if (expected := expected_at(each, replaced.get(each.id), timeline)) is not None
    ]
    of_others = [
        [((moment - timeline.started_at).total_seconds(), float(count)) for moment, count in other.seen]
        for other in others
    ]
    points = [*seen, *chosen, *(point for each in of_others for point in each)]
    seconds = max([runtime or 0.0, *(at for at, _ in points)])
    executors = [float(count) for _, count in points]
    above = _Panel(_TOP, seconds, max([*executors, 1.0]) + 1, "executors")
    for each in of_others:
        above.steps(each, _OTHERS, "another driver's")
    above.steps(seen, _BLUE, "executors")
    above.marks(chosen, _ORANGE, "chosen")
    remaining = [runtime or 0.0, target_seconds if target_seconds <= 2 * seconds else 0.0]
    highest = max([*remaining, *(value for _, value in predicted)])
    below = _Panel(_TOP + _PANEL_HEIGHT + _GAP, seconds, highest, "seconds left")
    until = min(seconds, target_seconds)
    left = [(0.0, target_seconds), (until, target_seconds - until)]
    below.line(left, _GREEN, f"until the target of {target_seconds:g} s", 'stroke-dasharray="3 4"')
    if execution.state is ApplicationState.COMPLETED and runtime is not None:
        below.line([(0.0, runtime), (runtime, 0.0)], _BLACK, "real")
    below.line(predicted, _ORANGE, "predicted, with its executors", 'stroke-dasharray="6 4"')
    below.marks(predicted, _ORANGE, "")
    title = f"{execution.global_specs.algorithm_name}, {execution.id}: {execution.state.value}"
    parts = [
        _text(_LEFT, 24, title, 'font-size="15"'),
        *above.parts,
        *below.parts,
        _text(_WIDTH / 2, _HEIGHT - 8, "seconds since the application started", 'text-anchor="middle"'),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
        f' height="{_HEIGHT}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>'
    )


def _ticks(highest: float, most: int = 8) -> list[float]:
    """Round values from 0 to the highest."""
    magnitude = 10.0 ** math.floor(math.log10(highest / most))
    step = next(factor * magnitude for factor in (1, 2, 5, 10, 20) if highest <= most * factor * magnitude)
    step = max(step, 1.0)
    return [number * step for number in range(int(highest / step) + 1)]


def _path(points: Points, color: str, style: str) -> str:
    joined = " L ".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M {joined}" fill="none" stroke="{color}" {style}/>'


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
