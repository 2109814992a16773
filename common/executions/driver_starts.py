"""Starts of an execution's drivers, one after the other or two at once; pure.

In charge is the driver that started last. Which one that is does not depend on the order of the reports.
"""

from datetime import datetime
from typing import Any

from common.executions.documents import ApplicationExecution, DriverStart
from common.wire.events import ApplicationStarted

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
    count = max(execution.driver_start_count, len(known)) + (same is None)
    return {
        "first_start_time": starts[0].start_time,
        "driver_starts": [start.model_dump() for start in starts],
        "driver_start_count": count,
    }


def _is_of_the_past(known: list[DriverStart], reported: DriverStart) -> bool:
    """Where starts were left out, nobody can say whether another one among them is known."""
    return len(known) >= MOST_STARTS and _order(known[0]) < _order(reported) < _order(known[1])


def _order(start: DriverStart | ApplicationStarted) -> tuple[datetime, str]:
    return start.start_time, start.application_id
