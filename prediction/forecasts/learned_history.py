"""What forecasts learn from a history: all that depends on no question, kept in a worker by its key.

A history is sent to a worker once. Whoever asks sends its key alone, and a worker that does not know it,
because it is new or has forgotten it, says so.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from prediction.forecasts.by_context import ContextFits, completed, run_seconds
from prediction.forecasts.useful_scale_out import useful_scale_out
from training.evidence.learned import learn_from
from training.evidence.run_effects import estimate_run_effects
from training.evidence.table import MAX_HISTORY_RUNS
from training.history.condensed import History, unpacked
from training.history.values import RunRecord
from training.runtime_model.similar_runs import SimilarRuns
from training.statistics.arrays import Bools, Ints

MOST_HISTORIES = 8
_MOST_BYTES = 16 * 1024 * 1024
"""As they are sent; in memory they take some ten times as much."""


T = TypeVar("T")

MOST_TABLES = 8
"""Of a history, kept at once: one for each context whose runs are not the most recent ones."""


def _kept(cache: OrderedDict[bytes, T], key: bytes, make: Callable[[], T]) -> T:
    """What was made for a key, or is made now; of others, those asked for last are kept."""
    if key not in cache:
        cache[key] = make()
        while len(cache) > MOST_TABLES:
            cache.popitem(last=False)
    cache.move_to_end(key)
    return cache[key]


class RunTable:
    """Some of the runs of a history, lined up job by job."""

    def __init__(self, runs: Sequence[RunRecord], rows: Ints) -> None:
        """Raises EmptyHistory.

        Args:
            runs: Those of the table, at most `MAX_HISTORY_RUNS`.
            rows: Which they are among all, ascending, (R,).
        """
        self.rows = rows
        self.evidence, self.odd_runs = learn_from(runs)

    @cached_property
    def similar_runs(self) -> SimilarRuns:
        """The runs as forecasts by similar runs have them."""
        return SimilarRuns(self.evidence, estimate_run_effects(self.evidence))


class LearnedHistory:
    """A history with what was learned from it so far, each thing when it is first asked for."""

    def __init__(self, runs: Sequence[RunRecord]) -> None:
        self.records = tuple(runs)
        """All of them."""
        self._tables: OrderedDict[bytes, RunTable] = OrderedDict()
        self._useful: OrderedDict[bytes, int | None] = OrderedDict()

    @cached_property
    def runs(self) -> list[RunRecord]:
        """Those that show how long a whole run takes, oldest first, (R,)."""
        return completed(self.records)

    @cached_property
    def seen_scale_out(self) -> int | None:
        """Most executors that any of the runs had; None where there is none."""
        return max((run.most_executors for run in self.runs), default=None)

    def table(self, same: Bools) -> RunTable:
        """The most recent runs of one context, and, as far as there is room, of the others.

        Args:
            same: Which runs are in the context, (R,).
        Raises:
            EmptyHistory: There is no run.
        """
        here, others = np.flatnonzero(same), np.flatnonzero(~same)
        here = here[-MAX_HISTORY_RUNS:]
        others = others[max(len(others) - (MAX_HISTORY_RUNS - len(here)), 0) :]
        rows = np.sort(np.concatenate([here, others]))
        key = rows.tobytes()
        return _kept(self._tables, key, lambda: RunTable([self.runs[row] for row in rows], rows))

    def useful_scale_out(self, same: Bools) -> int | None:
        """Executors that runs of one context can use at most, once for each context.

        Args:
            same: Which runs are in the context, (R,).
        """
        return _kept(
            self._useful,
            same.tobytes(),
            lambda: useful_scale_out([self.runs[row] for row in np.flatnonzero(same)]),
        )

    @cached_property
    def context_fits(self) -> ContextFits:
        """The context model; of odd runs among the most recent it sees what they would have taken."""
        seconds = [run_seconds(run) for run in self.runs]
        recent = self.table(np.zeros(len(self.runs), dtype=bool))
        for odd in recent.odd_runs:
            seconds[recent.rows[odd.row]] = float(recent.evidence.total[odd.row])
        return ContextFits(self.runs, seconds)


@dataclass(frozen=True)
class HistoryQuestion:
    """A question to a worker about a history that it may know; picklable."""

    function: Callable[[Any], Any]
    """Answers the request; found by its name."""
    request: Any
    """What the function takes, a dataclass whose `history` the worker puts in."""
    key: str
    """Of the history."""
    history: History | None = None
    """None: the worker may know it."""


@dataclass(frozen=True)
class LearnRequest:
    """Request to a worker to learn what questions about a history need; picklable."""

    history: LearnedHistory | tuple[()] = ()


def learn(request: LearnRequest) -> None:
    """Learn it now, not when somebody waits."""
    if isinstance(request.history, LearnedHistory) and request.history.runs:
        request.history.context_fits.learn()


@dataclass(frozen=True)
class HistoryNeeded:
    """Answer of a worker that does not know a history: it is to be asked again, with the history."""


class KnownHistories:
    """Most recently used histories of this process, by key."""

    def __init__(self, most: int = MOST_HISTORIES, most_bytes: int = _MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._bytes: dict[str, int] = {}
        self._known: OrderedDict[str, LearnedHistory] = OrderedDict()

    def find(self, key: str) -> LearnedHistory | None:
        """The history of a key, if it is here."""
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def add(self, history: History) -> LearnedHistory:
        """Read what was sent. The latest one stays, whatever its size.

        Raises:
            UnknownFormat: A run is not one of this version.
        """
        learned = LearnedHistory([unpacked(run) for run in history.runs])
        self._known[history.key], self._bytes[history.key] = learned, sum(map(len, history.runs))
        self._known.move_to_end(history.key)
        while len(self._known) > 1 and (
            len(self._known) > self._most or sum(self._bytes.values()) > self._most_bytes
        ):
            oldest, _ = self._known.popitem(last=False)
            del self._bytes[oldest]
        return learned


HISTORIES = KnownHistories()


def answer_about(question: HistoryQuestion) -> Any:
    """Answer a question in a worker; `HistoryNeeded` where it does not know the history."""
    learned = HISTORIES.find(question.key)
    if learned is None and question.history is not None:
        learned = HISTORIES.add(question.history)
    if learned is None:
        return HistoryNeeded()
    return question.function(replace(question.request, history=learned))
