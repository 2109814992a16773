"""How many executors an application had at which time, as the plugin counts them."""

import bisect
from dataclasses import dataclass


@dataclass(frozen=True)
class ScaleOutSpan:
    """Scale-outs around an interval, and the share of it that had neither."""

    start: int
    end: int
    rescaling_time_ratio: float


class ExecutorTimeline:
    """Changes by their time, whatever order they came in. Times are epoch milliseconds."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._counts: list[int] = []
        self._present: set[str] = set()
        self.most = 0

    def added(self, executor_id: str, time: int) -> None:
        """Note one; in local mode the driver is announced, and is none."""
        if executor_id != "driver" and executor_id not in self._present:
            self._present.add(executor_id)
            self._change(time, 1)
            self.most = max(self.most, len(self._present))

    def removed(self, executor_id: str, time: int) -> None:
        """Note that one has gone."""
        if executor_id in self._present:
            self._present.remove(executor_id)
            self._change(time, -1)

    def _change(self, time: int, by: int) -> None:
        at = bisect.bisect_left(self._times, time)
        if at == len(self._times) or self._times[at] != time:
            self._times.insert(at, time)
            self._counts.insert(at, self._counts[at - 1] if at else 0)
        for later in range(at, len(self._counts)):
            self._counts[later] += by

    def scale_out_at(self, time: int) -> int:
        """At least 1: a moment without any executor is nothing that could have been chosen."""
        at = bisect.bisect_right(self._times, time) - 1
        return max(1, self._counts[at]) if at >= 0 else 1

    def between(self, start: int, end: int) -> ScaleOutSpan:
        """Of an interval from its start to its end."""
        first, last = self.scale_out_at(start), self.scale_out_at(end)
        if end <= start:
            return ScaleOutSpan(first, last, 0.0)
        inner = self._times[bisect.bisect_right(self._times, start) : bisect.bisect_left(self._times, end)]
        rescaling = sum(
            until - since
            for since, until in zip([start, *inner], [*inner, end], strict=True)
            if self.scale_out_at(since) not in (first, last)
        )
        return ScaleOutSpan(first, last, rescaling / (end - start))
