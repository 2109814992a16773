"""What the service does by itself from time to time."""

from collections.abc import Awaitable, Callable

from app.loops import Loop
from submission.schedules import SubmissionSchedules
from submission.service import SubmissionService
from training.runs.schedules import PeriodicTrainings

_FIRST_COLLECTION_SECONDS = 30.0
"""After the start, when publications that were cut short have been finished."""

_COLLECTION_SECONDS = 3600.0

_SCHEDULE_SECONDS = 2.0
"""Between two looks at recurring submissions: what is due starts that late at most."""

_RECONCILE_SECONDS = 30.0


def chores(
    periodic_trainings: PeriodicTrainings,
    collect_garbage: Callable[[], Awaitable[list[str]]],
    submissions: SubmissionService,
    submission_schedules: SubmissionSchedules,
    tick_seconds: float,
) -> list[Loop]:
    """Loops that look for what is due, take up what was left, and collect garbage."""
    loops = [
        Loop("recurring submissions", submission_schedules.tick, _SCHEDULE_SECONDS, _SCHEDULE_SECONDS),
        Loop("abandoned submissions", submissions.reconcile, _RECONCILE_SECONDS, _RECONCILE_SECONDS),
        Loop("garbage", collect_garbage, _COLLECTION_SECONDS, _FIRST_COLLECTION_SECONDS),
    ]
    if periodic_trainings.configured:
        loops.append(Loop("periodic trainings", periodic_trainings.tick, tick_seconds, tick_seconds))
    return loops
