"""What the log looks like: lines for people, or JSON objects with the ids that belong to them."""

import logging
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

from common.log_context import LogContext

LogFormat = Literal["text", "json"]

_FIELDS = ("levelname", "name", "message")


def set_up_logging(level: str, log_format: LogFormat) -> None:
    """For the whole process, to standard error.

    Args:
        log_format: `json` is one object a line: `timestamp` in UTC, `level`, `logger`, `message`, and
            `request_id` and `application_execution_id` where something is done for one.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(log_format))
    handler.addFilter(LogContext())
    logging.basicConfig(level=level, handlers=[handler])


def _formatter(log_format: LogFormat) -> logging.Formatter:
    if log_format == "text":
        return logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    return JsonFormatter(_FIELDS, rename_fields={"levelname": "level", "name": "logger"}, timestamp=True)
