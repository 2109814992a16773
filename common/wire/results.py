"""How a job ended, by what is said of it."""

import re

_SUCCEEDED = re.compile(r"\s*(?:job)?_?(?:succe\w*|ok|completed|finished)\s*", re.IGNORECASE)
_FAILED = re.compile(r"fail|cancel|abort|exception|error", re.IGNORECASE)


def job_succeeded(result: str | None) -> bool | None:
    """Whether a job succeeded; Spark's own words are `JobSucceeded` and `JobFailed`, and a listener may add
    the exception, or have others. None: nothing is said of it."""
    if result is None:
        return None
    if _FAILED.search(result):
        return False
    return True if _SUCCEEDED.fullmatch(result) else None
