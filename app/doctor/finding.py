"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WRONG = "wrong"
    SKIPPED = "skipped"
    """Nothing to look at with these settings, or not from here."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        detail: How it is, or what is wrong with it.
        mend: What to do where it is wrong.
    """

    subject: str
    verdict: Verdict
    detail: str
    mend: str = ""


def ok(subject: str, detail: str) -> Finding:
    return Finding(subject, Verdict.OK, detail)


def wrong(subject: str, detail: str, mend: str) -> Finding:
    return Finding(subject, Verdict.WRONG, detail, mend)


def skipped(subject: str, why: str) -> Finding:
    return Finding(subject, Verdict.SKIPPED, why)
