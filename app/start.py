"""Why the service cannot start: lines for whoever starts it, each with the setting to look at."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError
from pydantic_settings import SettingsError
from pymongo.errors import OperationFailure, PyMongoError

from common.errors import ServiceError, StartError

logger = logging.getLogger(__name__)

_LONGEST_LINE = 1000


@contextmanager
def told_why() -> Iterator[None]:
    """A start within which whatever is raised is a StartError: there is a line that says so."""
    try:
        yield
    except StartError:
        raise
    except Exception as error:
        raise StartError("; ".join(reasons(error))) from error


def reasons(error: Exception) -> Iterator[str]:
    """`SETTING: why`, for every setting that is wrong; no value is repeated, which may be secret."""
    for reason in _reasons(error):
        line = " ".join(reason.split())
        yield line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def _reasons(error: Exception) -> Iterator[str]:
    match error:
        case ValidationError():
            for problem in error.errors(include_url=False, include_context=False, include_input=False):
                setting = str(problem["loc"][0]).upper() if problem["loc"] else "settings"
                yield f"{setting}: {problem['msg'].removeprefix('Value error, ')}"
        case SettingsError():
            name = str(error).partition('"')[2].partition('"')[0]
            yield f"{name.upper() or 'settings'}: its value cannot be read"
        case StartError():
            yield str(error)
        case OperationFailure():
            refusal = (error.details or {}).get("codeName") or f"code {error.code}"
            yield f"MONGODB_ENDPOINT: MongoDB refuses what the start needs: {refusal}"
        case PyMongoError():
            yield f"MONGODB_ENDPOINT: MongoDB failed meanwhile: {type(error).__name__}"
        case OSError():
            where = error.filename if isinstance(error.filename, str) else "a file or a connection"
            yield f"DATA_DIR: {where} cannot be used: {error.strerror or type(error).__name__}"
        case ServiceError():
            yield f"{error.title}: {error}"
        case _:
            logger.debug("The start failed", exc_info=error)
            name = type(error).__name__
            yield f"unexpected: {name}; LOGGING_LEVEL=DEBUG shows where it comes from"
