"""Clocks that tests set: the wall clock jumps, and the monotonic one hurries on."""

from datetime import datetime, timedelta, tzinfo

import pytest
from psutil import _pslinux

import common.clocks
import common.mongo.document


class Clocks:
    """Shifts what the service reads; timers of the event loop stay as they are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_shift = timedelta()
        self.passed_seconds = 0.0
        clocks, monotonic, boot_time = self, common.clocks.monotonic_seconds, _pslinux.boot_time

        class WallClock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.now(tz) + clocks.wall_shift

        def hurried() -> float:
            return monotonic() + clocks.passed_seconds

        def moved() -> float:
            return boot_time() + clocks.wall_shift.total_seconds()

        monkeypatch.setattr(common.mongo.document, "datetime", WallClock)
        for module in ("common.clocks", "submission.service"):
            monkeypatch.setattr(f"{module}.monotonic_seconds", hurried)
        # The kernel moves the time of the boot with the wall clock.
        monkeypatch.setattr("psutil._pslinux.boot_time", moved)

    def set_back(self, hours: float = 2.0) -> None:
        self.wall_shift -= timedelta(hours=hours)

    def set_forward(self, hours: float = 2.0) -> None:
        self.wall_shift += timedelta(hours=hours)

    def pass_seconds(self, seconds: float) -> None:
        """Time goes by, for both clocks."""
        self.passed_seconds += seconds
        self.wall_shift += timedelta(seconds=seconds)
