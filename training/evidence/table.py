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

from training.evidence.graph import Graph, build_graph, job_share, stage_keys
from training.evidence.similarity import similarity
from training.history.values import METRIC_NAMES, RunContext, RunRecord, StageMetrics
from training.statistics.arrays import Bools, Floats

MAX_HISTORY_RUNS = 60
"""Most recent runs kept; older ones add cost and describe a cluster that no longer exists."""

MIN_SECONDS = 0.01
"""Runtimes below are noise of the clock and would dominate a logarithm."""

METRIC_LIMIT = 100.0
"""Ratios above say no more than the limit does (division by nearly nothing)."""


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


def usable(history: Iterable[RunRecord]) -> list[RunRecord]:
    """Runs with at least one job, oldest first, at most `MAX_HISTORY_RUNS`."""
    runs = sorted((run for run in history if run.jobs), key=lambda run: (run.started_at, run.run_id))
    return runs[-MAX_HISTORY_RUNS:]


def collect(history: Iterable[RunRecord], graph: Graph | None = None) -> Evidence:
    """Line the runs up over one graph.

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
    jobs_of = {job_id: position for position, job_id in enumerate(graph.job_ids)}
    node_of = {
        (int(job), name, count): node
        for node, (job, name, count) in enumerate(
            zip(graph.node_job, graph.names, graph.occurrence, strict=True)
        )
    }
    size = Counter(graph.node_job.tolist())
    by_job = (len(runs), len(graph.job_ids))
    by_node = (len(runs), len(graph.names))
    table = Evidence(
        graph,
        tuple(run.context for run in runs),
        np.full(by_node, np.nan),
        np.full(by_job, np.nan),
        np.full((*by_node, len(METRIC_NAMES)), np.nan),
        start_scale_out=np.full(by_job, np.nan),
        end_scale_out=np.full(by_job, np.nan),
        rescaling_ratio=np.full(by_job, np.nan),
        lead=np.full(by_job, np.nan),
        overlap=np.full(by_job, np.nan),
        frontier=np.full(by_job, np.nan),
        total=np.zeros(len(runs)),
        tail=np.full(len(runs), np.nan),
    )
    for row, run in enumerate(runs):
        frontier = 0.0
        for record in sorted(run.jobs, key=lambda job: job.job_id):
            position = jobs_of.get(record.job_id)
            runtime = max(record.runtime_seconds, MIN_SECONDS)
            if position is not None:
                table.log_job_runtime[row, position] = np.log(runtime)
                table.start_scale_out[row, position] = max(record.start_scale_out, 1)
                table.end_scale_out[row, position] = max(record.end_scale_out, 1)
                table.rescaling_ratio[row, position] = min(max(record.rescaling_time_ratio, 0.0), 1.0)
                table.lead[row, position] = max(0.0, record.start_seconds - frontier)
                hidden = min(max(frontier - record.start_seconds, 0.0), runtime)
                table.overlap[row, position] = hidden / runtime
                matched = 0
                for name, count, stage in stage_keys(record.stages):
                    node = node_of.get((position, name, count))
                    if node is not None:
                        matched += 1
                        table.log_runtime[row, node] = np.log(max(stage.runtime_seconds, MIN_SECONDS))
                        if stage.metrics is not None:
                            table.metrics[row, node] = _metrics(stage.metrics)
                if matched == len(record.stages) == size[position] - 1:
                    driver = node_of[position, "", 0]
                    table.log_runtime[row, driver] = np.log(max(job_share(record), MIN_SECONDS))
            frontier = max(frontier, record.end_seconds)
            if position is not None:
                table.frontier[row, position] = frontier
        table.total[row] = max(run.runtime_seconds or 0.0, frontier)
        if run.runtime_seconds is not None:
            table.tail[row] = max(0.0, run.runtime_seconds - frontier)
    return table


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
