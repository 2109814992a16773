"""What is known before a job runs: its graph, and similar earlier runs.

The history of an application becomes an `Evidence` table (runs x graph nodes) over one common
graph. `training.runtime_model.laws.fit_prior` turns the table into a `Prior`: per node a scale-out law in log
space, plus what runs at similar scale-outs and in similar contexts show beyond that law. Every
number the network later sees about a run comes from a prior fitted without that run.

Numpy only. Axes: R runs, J jobs, N nodes.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from training.evidence.alignment import NEIGHBOURS
from training.evidence.graph import Graph, build_graph, job_share, stage_keys
from training.evidence.similarity import similarity
from training.evidence.slots import Partners, ordered_jobs, partners
from training.history.values import METRIC_NAMES, JobRecord, RunContext, RunRecord, StageMetrics
from training.statistics.arrays import Bools, Floats, Ints

MAX_HISTORY_RUNS = 60
"""Most recent runs kept; older ones add cost and describe a cluster that no longer exists."""

MIN_SECONDS = 0.01
"""Runtimes below are noise of the clock and would dominate a logarithm."""

METRIC_LIMIT = 100.0
"""Ratios above say no more than the limit does (division by nearly nothing)."""


BESIDE = 0.05
"""Share of a job that runs beside earlier ones, from which on threads are taken to share the work."""

INDISTINCT_RATIO = 1.3
"""Ratio of usual runtimes from which on it matters which of two jobs that look alike one is."""


class EmptyHistory(ValueError):
    """No run with a finished job: there is nothing to learn from."""


@dataclass(frozen=True)
class Evidence:
    """The history as a table over the graph; everything a forecast needs besides the weights."""

    graph: Graph
    contexts: tuple[RunContext, ...]
    log_runtime: Floats
    """(R, N); NaN where the node did not run or could not be told apart."""
    log_job_runtime: Floats
    """(R, J)"""
    metrics: Floats
    """log1p of the ratios, (R, N, 5)."""
    start_scale_out: Floats
    """(R, J)"""
    end_scale_out: Floats
    """(R, J)"""
    rescaling_ratio: Floats
    """(R, J)"""
    lead: Floats
    """Driver seconds before the job, (R, J)."""
    overlap: Floats
    """Share of the job's runtime hidden behind earlier jobs, (R, J)."""
    frontier: Floats
    """Seconds from the start of the run until everything up to this job has ended, (R, J)."""
    total: Floats
    """Seconds of the whole run, (R,); end of the last job where the run's end is unknown."""
    tail: Floats
    """Seconds after the last job, (R,)."""

    @cached_property
    def similarities(self) -> Floats:
        """Similarity of every run's context to every other's, (R, R)."""
        return np.stack([similarity(self.contexts, context) for context in self.contexts])

    @cached_property
    def seen_scale_out(self) -> int | None:
        """Most executors that any run had; None where no job says."""
        known = np.concatenate([self.start_scale_out, self.end_scale_out], axis=None)
        known = known[np.isfinite(known)]
        return int(known.max()) if len(known) else None

    @cached_property
    def usual_runtime(self) -> Floats:
        """Median seconds of each job over all runs, (J,); 1 where none had it."""
        return np.asarray(np.exp(medians(self.log_job_runtime)))

    @cached_property
    def beside(self) -> Bools:
        """Jobs that usually run beside earlier ones, (J,)."""
        return np.asarray(medians(self.overlap) > BESIDE, dtype=bool)

    @cached_property
    def beside_the_last(self) -> tuple[bool, ...]:
        """Jobs of which a part, or of the one before them, usually runs beside the other, (J,).

        Whichever of the two comes first; in the order of the graph they did in one run at least.
        """
        runtime = np.exp(self.log_job_runtime)
        hidden = self.overlap * runtime
        shorter = np.maximum(np.minimum(runtime[:, 1:], runtime[:, :-1]), MIN_SECONDS)
        # What is hidden of the one before may be so behind another one before that.
        ever = np.nan_to_num(hidden[:, 1:] / shorter).max(axis=0, initial=0.0) > BESIDE
        usually = medians((hidden[:, 1:] + hidden[:, :-1]) / shorter) > BESIDE
        return (False, *(ever & usually).tolist())

    @cached_property
    def indistinct(self) -> Bools:
        """Jobs beside others that look the same and usually take much longer or shorter, (J,)."""
        signatures = self.graph.signatures
        found = np.zeros(len(signatures), dtype=bool)
        for job in np.flatnonzero(self.beside).tolist():
            for other in range(max(job - NEIGHBOURS, 0), min(job + NEIGHBOURS + 1, len(signatures))):
                if signatures[other] == signatures[job] and signatures[job].names:
                    found[[job, other]] |= self.exchangeable(job, other)
        return found

    @cached_property
    def _log_usual(self) -> list[float]:
        logs: list[float] = np.log(self.usual_runtime).tolist()
        return logs

    def exchangeable(self, one: int, other: int) -> bool:
        """Whether threads may have numbered two jobs the other way round, and it matters which is which."""
        if abs(self._log_usual[one] - self._log_usual[other]) <= np.log(INDISTINCT_RATIO):
            return False
        if self.graph.task_ranges is None:  # as models made before then forecast
            return True
        return max(one, other) in self.neighbours(min(one, other))

    def neighbours(self, job: int) -> range:
        """Jobs that may have changed places with one, which is among them.

        From each of them to the next, both usually run beside each other.
        """
        first = last = job
        while first > max(job - NEIGHBOURS, 0) and self.beside_the_last[first]:
            first -= 1
        while last < min(job + NEIGHBOURS, len(self.beside_the_last) - 1) and self.beside_the_last[last + 1]:
            last += 1
        return range(first, last + 1)


def medians(table: Floats) -> Floats:
    """Median of what is known, per column; 0 without anything."""
    known = np.isfinite(table)
    ordered, counts = np.sort(np.where(known, table, np.inf), axis=0), known.sum(axis=0)
    middle = np.stack([(counts - 1) // 2, counts // 2]).clip(min=0)
    found = np.take_along_axis(ordered, middle, axis=0).mean(axis=0) if len(table) else 0.0
    return np.where(counts > 0, found, 0.0)


def usable(history: Iterable[RunRecord]) -> list[RunRecord]:
    """Runs with at least one job, oldest first, at most `MAX_HISTORY_RUNS`."""
    runs = sorted((run for run in history if run.jobs), key=lambda run: (run.started_at, run.run_id))
    return runs[-MAX_HISTORY_RUNS:]


def collect(history: Iterable[RunRecord], graph: Graph | None = None) -> Evidence:
    """Line the runs up over one graph: jobs by what they are, stages by what lasts of their names.

    A job that is like none of the graph is left out. So is, of a run in progress, one with a stage that
    was tried again.

    Args:
        history: Earlier runs; those without jobs are ignored.
        graph: Use this graph instead of the history's own (for a run that is to be forecast).
    Raises:
        EmptyHistory: No run has a job, and no graph is given.
    """
    runs = usable(history) if graph is None else list(history)
    if graph is None and not runs:
        raise EmptyHistory("no earlier run has a finished job")
    graph = graph or build_graph(runs)
    table = _empty(graph, tuple(run.context for run in runs))
    for row, run in enumerate(runs):
        _fill(table, row, run)
    return table


def _empty(graph: Graph, contexts: tuple[RunContext, ...]) -> Evidence:
    by_job, by_node = (len(contexts), len(graph.job_ids)), (len(contexts), len(graph.names))
    return Evidence(
        graph,
        contexts,
        np.full(by_node, np.nan),
        np.full(by_job, np.nan),
        np.full((*by_node, len(METRIC_NAMES)), np.nan),
        start_scale_out=np.full(by_job, np.nan),
        end_scale_out=np.full(by_job, np.nan),
        rescaling_ratio=np.full(by_job, np.nan),
        lead=np.full(by_job, np.nan),
        overlap=np.full(by_job, np.nan),
        frontier=np.full(by_job, np.nan),
        total=np.zeros(len(contexts)),
        tail=np.full(len(contexts), np.nan),
    )


def partners_of(graph: Graph, run: RunRecord) -> Partners:
    """Positions in the graph of a run's jobs, in order of their ids.

    A run whose end is not known is taken to be in progress.
    """
    ended = run.runtime_seconds is not None
    return partners(ordered_jobs(run), graph.signatures, graph.job_ids, graph.task_ranges, ended=ended)


def slots_of(graph: Graph, run: RunRecord) -> Ints:
    """Position in the graph of each of a run's reported jobs in order of their ids, -1 for none, (jobs,)."""
    return partners_of(graph, run).reported


def contributions(evidence: Evidence) -> Floats:
    """Seconds that each job added to its run, the driver's before it included; NaN without it, (R, J)."""
    return np.asarray(evidence.lead + (1.0 - evidence.overlap) * np.exp(evidence.log_job_runtime))


def _fill(table: Evidence, row: int, run: RunRecord) -> None:
    frontier = 0.0
    positions: list[int] = []
    frontiers: list[float] = []
    in_progress = run.runtime_seconds is None
    for record, position in zip(ordered_jobs(run), slots_of(table.graph, run).tolist(), strict=True):
        # What a stage that was tried again took says nothing of how the run goes on.
        counts = position >= 0 and not (in_progress and record.retried)
        if counts:
            _fill_job(table, row, position, record, frontier)
        frontier = max(frontier, record.end_seconds)
        if counts:
            positions.append(position)
            frontiers.append(frontier)
    # Of jobs that changed places: how many had ended by then counts, not which.
    table.frontier[row, sorted(positions)] = frontiers
    table.total[row] = max(run.runtime_seconds or 0.0, frontier)
    if run.runtime_seconds is not None:
        table.tail[row] = max(0.0, run.runtime_seconds - frontier)


def _fill_job(table: Evidence, row: int, position: int, record: JobRecord, frontier: float) -> None:
    """Fill in a job that starts when everything before has ended at `frontier`."""
    runtime = max(record.runtime_seconds, MIN_SECONDS)
    table.log_job_runtime[row, position] = np.log(runtime)
    table.start_scale_out[row, position] = max(record.start_scale_out, 1)
    table.end_scale_out[row, position] = max(record.end_scale_out, 1)
    table.rescaling_ratio[row, position] = min(max(record.rescaling_time_ratio, 0.0), 1.0)
    table.lead[row, position] = max(0.0, record.start_seconds - frontier)
    hidden = min(max(frontier - record.start_seconds, 0.0), runtime)
    table.overlap[row, position] = hidden / runtime
    nodes_by_name = table.graph.stage_nodes[position]
    keys = stage_keys(record)
    count_of = Counter(name for name, _, _ in keys)
    matched = 0
    for name, count, stage in keys:
        nodes = nodes_by_name.get(name, ())
        # Of stages called alike, Spark skips the first: what they lead to is what has to be made.
        place = count + max(len(nodes) - count_of[name], 0)
        if place < len(nodes):
            matched += 1
            table.log_runtime[row, nodes[place]] = np.log(max(stage.runtime_seconds, MIN_SECONDS))
            if stage.metrics is not None:
                table.metrics[row, nodes[place]] = _metrics(stage.metrics)
    if matched == len(record.stages) == sum(map(len, nodes_by_name.values())):
        driver = table.graph.drivers[position]
        table.log_runtime[row, driver] = np.log(max(job_share(record), MIN_SECONDS))


def _metrics(metrics: StageMetrics) -> Floats:
    values = np.nan_to_num(np.array(metrics, dtype=np.float64), nan=0.0, posinf=METRIC_LIMIT)
    return np.log1p(np.clip(values, 0.0, METRIC_LIMIT))


def expected_jobs(evidence: Evidence, context: RunContext) -> Bools:
    """Jobs that a run in this context is expected to have, (J,).

    Those that at least half of the (at most ten) most recent runs of the nearest context had:
    with varying lengths, the median length.
    """
    near = similarity(evidence.contexts, context)
    group = np.flatnonzero(near >= near.max() * (1 - 1e-9))[-10:]
    ran = np.isfinite(evidence.log_job_runtime[group])
    return np.asarray(ran.mean(axis=0) >= 0.5, dtype=bool)


def reduced(evidence: Evidence, rows: Sequence[int]) -> Evidence:
    """Table of some runs only, by their rows."""
    index = np.array(rows, dtype=np.int64)
    arrays = {f.name: getattr(evidence, f.name)[index] for f in fields(evidence)[2:]}
    return replace(evidence, contexts=tuple(evidence.contexts[i] for i in rows), **arrays)
