"""Starts and ends of an execution's drivers, one after the other or two at once; pure.

In charge is the driver that started last. Which one that is does not depend on the order of the reports.
"""

from datetime import datetime
from typing import Any

from common.executions.documents import ApplicationExecution
from common.executions.drivers import DriverEnd, DriverStart
from common.wire.events import ApplicationEnded, ApplicationStarted, JobEnded

MOST_STARTS = 100


def known_starts(execution: ApplicationExecution) -> list[DriverStart]:
    """Oldest first; of documents of earlier versions the one that they know."""
    if execution.driver_starts or execution.application_id is None or execution.start_time is None:
        return execution.driver_starts
    fields = {name: getattr(execution, name) for name in ("application_id", "attempt_id", "start_scale_out")}
    return [DriverStart(start_time=execution.start_time, **fields)]


def takes_charge(execution: ApplicationExecution, event: ApplicationStarted) -> bool:
    """Whether it is the start of the driver that is in charge, or will be with it."""
    return all(_order(event) >= _order(start) for start in known_starts(execution))


def start_fields(execution: ApplicationExecution, event: ApplicationStarted) -> dict[str, Any]:
    """What the execution's list of starts becomes; empty where the start is known."""
    known = known_starts(execution)
    reported = DriverStart.model_validate(event.model_dump(include=set(DriverStart.model_fields)))
    same = next((start for start in known if _order(start) == _order(reported)), None)
    if same is None and _is_of_the_past(known, reported):
        return {}
    said = reported.model_dump(exclude_none=True)
    starts = [start for start in known if start is not same]
    starts.append(same.model_copy(update=said) if same else reported)
    starts.sort(key=_order)
    if len(starts) > MOST_STARTS:
        del starts[1]
    unstarted = [
        each for each in execution.drivers_without_start if each.application_id != event.application_id
    ]
    count = max(execution.driver_start_count, len(known)) + (same is None)
    return {
        "first_start_time": starts[0].start_time,
        "driver_starts": [start.model_dump() for start in starts],
        "driver_start_count": count,
        "drivers_without_start": [each.model_dump() for each in unstarted],
    }


def first_job_fields(execution: ApplicationExecution, event: JobEnded) -> dict[str, Any]:
    """What the execution learns of a job's start, where its driver's is not known: it ran by then."""
    driver, began_at = event.application_id, event.start_time or event.end_time
    if any(start.application_id == driver for start in known_starts(execution)):
        return {}
    known = execution.drivers_without_start
    before = [start for start in known if start.application_id == driver]
    if before and before[0].start_time <= began_at:
        return {}
    found = [*(start for start in known if start not in before)]
    found.append(DriverStart(application_id=driver, start_time=began_at))
    found.sort(key=_order)
    return {"drivers_without_start": [start.model_dump() for start in found[:MOST_STARTS]]}


def end_fields(execution: ApplicationExecution, event: ApplicationEnded) -> dict[str, Any]:
    """What the execution's list of ends becomes."""
    key = event.application_id, event.end_time
    known = [end for end in execution.driver_ends if (end.application_id, end.end_time) == key]
    said = event.ended_jobs if event.ended_jobs is not None or not known else known[0].ended_jobs
    reported = DriverEnd(application_id=event.application_id, end_time=event.end_time, ended_jobs=said)
    ends = [*(end for end in execution.driver_ends if end not in known), reported]
    ends.sort(key=lambda end: (end.end_time, end.application_id))
    return {"driver_ends": [end.model_dump() for end in ends[-MOST_STARTS:]]}


def end_of(execution: ApplicationExecution, application_id: str) -> DriverEnd | None:
    """The latest end that a driver has told; it may have overtaken the start. None: it has told none."""
    told = [end for end in execution.driver_ends if end.application_id == application_id]
    return told[-1] if told else None


def _is_of_the_past(known: list[DriverStart], reported: DriverStart) -> bool:
    """Where starts were left out, nobody can say whether another one among them is known."""
    return len(known) >= MOST_STARTS and _order(known[0]) < _order(reported) < _order(known[1])


def _order(start: DriverStart | ApplicationStarted) -> tuple[datetime, str]:
    return start.start_time, start.application_id
