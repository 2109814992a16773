"""From how many executors on more of them have nothing to do: a run has only so many tasks at a time.

Laws of the scale-out know nothing of that, and go on falling. Pure.
"""

import math
import statistics
from collections.abc import Sequence

from prediction.forecasts.by_context import run_seconds
from training.history.values import JobRecord, RunRecord

NEAR = 1.25
"""Ratio of executors up to which runs are compared as if they had as many."""

CLEARLY_FASTER = 0.9
"""Share of the time below which more executors helped."""

SAME_WIDTH = 1.1
"""Ratio of tasks at a time up to which two runs had the same: a number that follows the cluster differs
more."""


def useful_scale_out(runs: Sequence[RunRecord]) -> int | None:
    """Executors that the tasks of runs can use at most; None where that is not known.

    Spark's default parallelism, and its adaptive one, make as many tasks as there are cores: such a number
    says nothing of more cores. It is believed where runs had more cores than tasks, or as many tasks with
    few executors as with many. Executors bring memory, too: where runs with more of them were faster all the
    same, that is what counts.

    Args:
        runs: In one context.
    """
    widths = [tasks_at_a_time(run) for run in runs]
    known = [(run, width) for run, width in zip(runs, widths, strict=True) if width is not None]
    if len(known) < len(runs) or not known:
        return None
    largest = max(width for _, width in known)
    if not (_left_cores_idle(known) or _is_the_same_with_any(known)):
        return None
    useful = max(1, math.ceil(largest / max(known[0][0].context.executor_cores, 1)))
    return _as_measured(runs, useful)


def tasks_at_a_time(run: RunRecord) -> int | None:
    """Upper bound of the tasks that a run had at a time; None where a job's stages are not known."""
    if not run.jobs or any(not job.stages for job in run.jobs):
        return None
    events = []
    for job in run.jobs:
        width = _width(job)
        # To the millisecond, as it was reported: a sum of seconds may be later than itself.
        start, end = round(job.start_seconds, 3), round(job.end_seconds, 3)
        events += [(start, 1, width), (end, 0, -width)]
    at_once = most = 0
    for _, _, change in sorted(events):  # what ends at a moment makes room for what starts
        at_once += change
        most = max(most, at_once)
    return most


def _width(job: JobRecord) -> int:
    """Tasks of the stages that may run beside each other: those equally far from the first ones."""
    depth: dict[int, int] = {}
    by_depth: dict[int, int] = {}
    for stage in sorted(job.stages, key=lambda stage: stage.stage_id):  # parents have smaller ids
        depth[stage.stage_id] = max(
            (depth[each] + 1 for each in stage.parent_ids if each in depth), default=0
        )
        place = depth[stage.stage_id]
        by_depth[place] = by_depth.get(place, 0) + max(stage.num_tasks, 1)
    return max(by_depth.values())


def _as_measured(runs: Sequence[RunRecord], useful: int) -> int | None:
    """The same, or the next that was measured; None where more executors made runs clearly faster."""
    at = [run for run in runs if useful / NEAR <= run.most_executors <= NEAR * useful]
    beyond = [run for run in runs if run.most_executors > NEAR * useful]
    if not beyond:
        return useful
    if not at:
        return min(run.most_executors for run in beyond)
    faster = statistics.median(map(run_seconds, beyond)) < CLEARLY_FASTER * statistics.median(
        map(run_seconds, at)
    )
    return None if faster else useful


def _left_cores_idle(known: Sequence[tuple[RunRecord, int]]) -> bool:
    """Whether a run had more cores than any run had tasks."""
    largest = max(width for _, width in known)
    return any(run.most_executors * run.context.executor_cores > largest for run, _ in known)


def _is_the_same_with_any(known: Sequence[tuple[RunRecord, int]]) -> bool:
    in_order = sorted(known, key=lambda each: each[0].most_executors)
    (fewest, there), (most, here) = in_order[0], in_order[-1]
    widths = [width for _, width in known]
    differs = most.most_executors >= 1.5 * fewest.most_executors
    return differs and max(widths) <= SAME_WIDTH * min(widths) and here <= SAME_WIDTH * there
