"""The stage graph that the jobs of an application are expected to have, and its critical path.

Numpy only. Axes: J jobs, N nodes.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.history.values import JobRecord, RunContext, RunRecord, StageRecord
from training.statistics.arrays import Bools, Floats, Ints

CONTEXT_BUCKETS = 64
"""Length of the hashed n-gram vector of a node's name and the algorithm's arguments."""


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
        """Whether nodes are their job's driver node, (N,)."""
        return np.array([not name for name in self.names], dtype=bool)

    @property
    def drivers(self) -> Ints:
        """Indices of each job's driver node, (J,)."""
        return np.flatnonzero(self.is_driver)

    @property
    def roots(self) -> Ints:
        """Indices of nodes without parents."""
        return np.setdiff1d(np.arange(len(self.names)), self.edges[1])

    @property
    def depth(self) -> int:
        """Number of edges on the longest path."""
        level = [0] * len(self.names)
        for parent, child in self.edges.T[np.argsort(self.edges[1], kind="stable")]:
            level[child] = max(level[child], level[parent] + 1)
        return max(level, default=0)


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


def critical_path(graph: Graph, runtime: Floats) -> Floats:
    """Job runtimes from node runtimes, along the longest path through each job.

    Args:
        runtime: Seconds of each node by itself, (..., N).
    Returns:
        Seconds of each job, (..., J).
    """
    finish = runtime.copy()
    parents, children = graph.edges
    for child in np.unique(children):
        finish[..., child] += finish[..., parents[children == child]].max(axis=-1)
    return np.asarray(finish[..., graph.drivers])


def hashed_context(graph: Graph, context: RunContext) -> Floats:
    """Hashed character n-grams of node names and algorithm arguments, rows of length 1, (N,
    CONTEXT_BUCKETS)."""
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
