"""What is known before a job runs: its graph, and similar earlier runs.

The history of an application becomes an `Evidence` table (runs x graph nodes) over one common
graph. `training.laws.fit_prior` turns the table into a `Prior`: per node a scale-out law in log
space, plus what runs at similar scale-outs and in similar contexts show beyond that law. Every
number the network later sees about a run comes from a prior fitted without that run.

Numpy only. Axes: R runs, J jobs, N nodes.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from training.arrays import Bools, Floats, Ints
from training.history import (
    METRIC_NAMES,
    JobRecord,
    RunContext,
    RunRecord,
    StageMetrics,
    StageRecord,
)

MAX_RUNS = 60
"""Most recent runs kept; older ones add cost and describe a cluster that no longer exists."""

MIN_SECONDS = 0.01
"""Runtimes below are noise of the clock and would dominate a logarithm."""

CONTEXT_BUCKETS = 64
"""Length of the hashed n-gram vector of a node's name and the algorithm's arguments."""

RESCALING_OUT_SECONDS = 10.0
RESCALING_IN_SECONDS = 2.0
"""Until a requested scale-out is in effect, where the history shows no rescaling. Executors leave
fast, and a delay that is taken too long makes scaling in look cheaper than it is."""

METRIC_LIMIT = 100.0
"""Ratios above say no more than the limit does (division by nearly nothing)."""


class EmptyHistory(ValueError):
    """No run with a finished job: there is nothing to learn from."""


@dataclass(frozen=True)
class Graph:
    """Nodes that the jobs of an application are expected to have.

    Every job ends in one driver node that stands for the job's own share: what its runtime has
    beyond the critical path of its stages. A job without stages is that node alone.
    """

    job_ids: tuple[int, ...]
    node_job: Ints
    """Position in `job_ids`, (N,), not decreasing."""
    names: tuple[str, ...]
    """Stage names; empty for driver nodes."""
    occurrence: tuple[int, ...]
    """Tells stages of one job with the same name apart, in order of their ids."""
    num_tasks: Floats
    """(N,); 0 for driver nodes."""
    edges: Ints
    """Parent to child, (2, E), within a job and always from a lower to a higher node."""

    @property
    def is_driver(self) -> Bools:
        return np.array([not name for name in self.names], dtype=bool)

    @property
    def drivers(self) -> Ints:
        """Driver node of each job, (J,)."""
        return np.flatnonzero(self.is_driver)

    @property
    def roots(self) -> Ints:
        """Nodes without parents."""
        return np.setdiff1d(np.arange(len(self.names)), self.edges[1])

    @property
    def depth(self) -> int:
        """Edges on the longest path."""
        level = [0] * len(self.names)
        for parent, child in self.edges.T[np.argsort(self.edges[1], kind="stable")]:
            level[child] = max(level[child], level[parent] + 1)
        return max(level, default=0)


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
        """Of every run's context to every other's, (R, R)."""
        return np.stack([similarity(self.contexts, context) for context in self.contexts])


def job_share(job: JobRecord) -> float:
    """Seconds of a job beyond the critical path of its stages."""
    finish: dict[int, float] = {}
    for stage in sorted(job.stages, key=lambda stage: stage.stage_id):
        before = max((finish.get(parent, 0.0) for parent in stage.parent_ids), default=0.0)
        finish[stage.stage_id] = before + stage.runtime_seconds
    return max(0.0, job.runtime_seconds - max(finish.values(), default=0.0))


def stage_keys(stages: Sequence[StageRecord]) -> list[tuple[str, int, StageRecord]]:
    """Stages with a name that is stable between runs: ids shift, names and their order do not."""
    seen: Counter[str] = Counter()
    keys = []
    for stage in sorted(stages, key=lambda stage: stage.stage_id):
        name = re.sub(r"0x[0-9a-f]+|\s+", " ", stage.name).strip() or "stage"
        keys.append((name, seen[name], stage))
        seen[name] += 1
    return keys


def build_graph(history: Sequence[RunRecord]) -> Graph:
    """Choose for every job the stage graph that most runs had (the most recent among equals)."""
    job_ids = sorted({job.job_id for run in history for job in run.jobs})
    node_job: list[int] = []
    names: list[str] = []
    occurrence: list[int] = []
    num_tasks: list[float] = []
    edges: list[tuple[int, int]] = []
    by_id: dict[int, list[JobRecord]] = {}
    for run in history:
        for job in run.jobs:
            by_id.setdefault(job.job_id, []).append(job)
    for position, job_id in enumerate(job_ids):
        jobs = by_id[job_id]
        shapes = [tuple((name, count) for name, count, _ in stage_keys(job.stages)) for job in jobs]
        counts = Counter(shapes)
        chosen = max(range(len(jobs)), key=lambda i: (counts[shapes[i]], i))
        node_of: dict[int, int] = {}
        childless: set[int] = set()
        for name, count, stage in stage_keys(jobs[chosen].stages):
            node = len(names)
            parents = [node_of[parent] for parent in dict.fromkeys(stage.parent_ids) if parent in node_of]
            node_of[stage.stage_id] = node
            edges += [(parent, node) for parent in parents]
            childless = (childless - set(parents)) | {node}
            node_job.append(position)
            names.append(name)
            occurrence.append(count)
            num_tasks.append(float(max(stage.num_tasks, 0)))
        edges += [(parent, len(names)) for parent in sorted(childless)]
        node_job.append(position)
        names.append("")
        occurrence.append(0)
        num_tasks.append(0.0)
    return Graph(
        job_ids=tuple(job_ids),
        node_job=np.array(node_job, dtype=np.int64),
        names=tuple(names),
        occurrence=tuple(occurrence),
        num_tasks=np.array(num_tasks),
        edges=np.array(edges, dtype=np.int64).reshape(-1, 2).T.copy(),
    )


def usable(history: Iterable[RunRecord]) -> list[RunRecord]:
    """Runs with at least one job, oldest first, at most `MAX_RUNS`."""
    runs = sorted((run for run in history if run.jobs), key=lambda run: (run.started_at, run.run_id))
    return runs[-MAX_RUNS:]


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


def critical_path(graph: Graph, runtime: Floats) -> Floats:
    """Job runtimes from node runtimes: (..., N) seconds to (..., J) seconds."""
    finish = runtime.copy()
    parents, children = graph.edges
    for child in np.unique(children):
        finish[..., child] += finish[..., parents[children == child]].max(axis=-1)
    return np.asarray(finish[..., graph.drivers])


def similarity(contexts: Sequence[RunContext], target: RunContext) -> Floats:
    """How much each run tells about a run in the target context, (R,), in (0, 1]."""
    return np.array([_similarity(context, target) for context in contexts])


@lru_cache(maxsize=4096)
def _similarity(context: RunContext, target: RunContext) -> float:
    longest = max(len(context.algorithm_args), len(target.algorithm_args), 1)
    same = sum(a == b for a, b in zip(context.algorithm_args, target.algorithm_args, strict=False))
    differing = max(len(context.algorithm_args), len(target.algorithm_args)) - same
    gap = log_size(context) - log_size(target)
    facts = ("data_characteristics", "machine_name", "environment_name", "executor_cores", "versions")
    others = sum(getattr(context, name) != getattr(target, name) for name in facts)
    return max(float(0.3 ** (differing / longest) * np.exp(-0.5 * (gap / 0.5) ** 2) * 0.6**others), 1e-4)


def log_size(context: RunContext) -> float:
    return float(np.log(max(context.data_size_mb, 1)))


def expected_jobs(evidence: Evidence, context: RunContext) -> Bools:
    """Jobs that a run in this context is expected to have, (J,).

    Those that at least half of the (at most ten) most recent runs of the nearest context had:
    with varying lengths, the median length.
    """
    near = similarity(evidence.contexts, context)
    group = np.flatnonzero(near >= near.max() * (1 - 1e-9))[-10:]
    ran = np.isfinite(evidence.log_job_runtime[group])
    return np.asarray(ran.mean(axis=0) >= 0.5, dtype=bool)


class Timing(NamedTuple):
    """Medians of what happens between jobs."""

    lead: Floats
    """Seconds before each job, (J,); the first one's is the start-up time."""
    overlap: Floats
    """Share of each job hidden behind earlier ones, (J,)."""
    tail: float
    """Seconds after the last job."""

    def remaining(self, job_runtime: Floats, jobs: Bools) -> Floats:
        """Seconds from each of these jobs to the end of the run: (..., J) to (..., len(jobs))."""
        seconds = (self.lead + (1.0 - self.overlap) * job_runtime)[..., jobs]
        return np.asarray(seconds[..., ::-1].cumsum(axis=-1)[..., ::-1] + self.tail)


def timing(evidence: Evidence, runs: Bools) -> Timing:
    """Median lead, overlap and tail of these runs, (R,)."""

    def medians(table: Floats) -> Floats:
        columns = [column[np.isfinite(column)] for column in table[runs].T]
        return np.array([float(np.median(column)) if len(column) else 0.0 for column in columns])

    tail = float(medians(evidence.tail[:, None])[0])
    return Timing(medians(evidence.lead), medians(evidence.overlap), tail)


def hashed_context(graph: Graph, context: RunContext) -> Floats:
    """Character n-grams of node names and algorithm arguments, hashed; (N, CONTEXT_BUCKETS)."""
    about = " ".join((context.algorithm_name, *context.algorithm_args, context.data_characteristics))
    shared = _ngrams(about)
    by_name = {name: _ngrams(name or "driver") + 0.5 * shared for name in set(graph.names)}
    rows = np.stack([by_name[name] for name in graph.names])
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))


def _ngrams(text: str) -> Floats:
    counts = np.zeros(CONTEXT_BUCKETS)
    text = f"^{text.lower()[:400]}$"
    for length in (2, 3, 4):
        for i in range(len(text) - length + 1):
            digest = hashlib.blake2s(text[i : i + length].encode(), digest_size=4).digest()
            number = int.from_bytes(digest, "little")
            counts[number % CONTEXT_BUCKETS] += 1.0 if number & 0x80000000 else -1.0
    norm = np.linalg.norm(counts)
    return np.asarray(counts / norm if norm else counts)


def reduced(evidence: Evidence, rows: Sequence[int]) -> Evidence:
    """The table with these runs only."""
    index = np.array(rows, dtype=np.int64)
    arrays = {f.name: getattr(evidence, f.name)[index] for f in fields(evidence)[2:]}
    return replace(evidence, contexts=tuple(evidence.contexts[i] for i in rows), **arrays)
