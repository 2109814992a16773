"""What is being worked on, for the log: a request, an application execution."""

import logging
from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered."""

application_execution_id: ContextVar[str | None] = ContextVar("application_execution_id", default=None)
"""Of the execution that a request is about."""

_KNOWN = {"request_id": request_id, "application_execution_id": application_execution_id}


class LogContext(logging.Filter):
    """Adds what is known to records; lets all of them pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, variable in _KNOWN.items():
            if (value := variable.get()) is not None and not hasattr(record, name):
                setattr(record, name, value)
        return True
