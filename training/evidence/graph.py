"""The stage graph that the jobs of an application are expected to have, and its critical path.

Numpy only. Axes: J jobs, N nodes.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from training.evidence.job_signatures import JobSignature, TaskRange, signature_of, task_range
from training.evidence.slots import find_slots
from training.evidence.stage_names import lasting_name
from training.history.values import JobRecord, RunContext, RunRecord, StageRecord
from training.statistics.arrays import Bools, Floats, Ints

RARE_TASKS = 0.05
"""Share of a job's runs with the fewest, and with the most tasks, that do not count as what it may have."""

CONTEXT_BUCKETS = 64
"""Length of the hashed n-gram vector of a node's name and the algorithm's arguments."""


@dataclass(frozen=True)
class Graph:
    """Nodes that the jobs of an application are expected to have.

    Every job ends in one driver node that stands for the job's own share: what its runtime has
    beyond the critical path of its stages. A job without stages is that node alone.
    """

    job_ids: tuple[int, ...]
    """The ids that the jobs have in most runs, not decreasing: which jobs are the same in different runs,
    `training.evidence.slots` says."""
    node_job: Ints
    """Position in `job_ids`, (N,), not decreasing."""
    names: tuple[str, ...]
    """Names of stages, as the network reads them: what lasts of them, but in graphs made before 2026-11-29;
    empty for driver nodes."""
    occurrence: tuple[int, ...]
    """Tells stages of one job with the same name apart, in order of their ids."""
    num_tasks: Floats
    """(N,); 0 for driver nodes."""
    edges: Ints
    """Parent to child, (2, E), within a job and always from a lower to a higher node."""
    failed: tuple[bool, ...] = ()
    """Whether jobs usually fail, (J,); empty: none does."""
    fewest_tasks: Floats | None = None
    """Numbers of tasks that were seen, (N,); None in graphs made before 2026-11-30."""
    most_tasks: Floats | None = None

    @cached_property
    def is_driver(self) -> Bools:
        """Whether nodes are their job's driver node, (N,)."""
        return np.array([not name for name in self.names], dtype=bool)

    @cached_property
    def drivers(self) -> Ints:
        """Indices of each job's driver node, (J,)."""
        return np.flatnonzero(self.is_driver)

    @cached_property
    def _stages(self) -> list[tuple[int, int]]:
        """Of each job's stages the first node, and the driver node behind them, (J,)."""
        first = np.searchsorted(self.node_job, np.arange(len(self.job_ids)))
        return list(zip(first.tolist(), self.drivers.tolist(), strict=True))

    @cached_property
    def signatures(self) -> tuple[JobSignature, ...]:
        """What each job is, by which those of other runs are recognised, (J,)."""
        parents: list[list[int]] = [[] for _ in self.names]
        for parent, child in self.edges.T.tolist():
            parents[child].append(parent)
        return tuple(
            JobSignature(
                tuple(lasting_name(self.names[node]) for node in range(begin, driver)),
                tuple(int(self.num_tasks[node]) for node in range(begin, driver)),
                tuple(tuple(sorted(p - begin for p in parents[node])) for node in range(begin, driver)),
                bool(self.failed and self.failed[job]),
            )
            for job, (begin, driver) in enumerate(self._stages)
        )

    @cached_property
    def task_ranges(self) -> tuple[TaskRange, ...] | None:
        """How many tasks each job had, (J,); None where it is not known."""
        if self.fewest_tasks is None or self.most_tasks is None:
            return None
        fewest, most = (list(map(int, values.tolist())) for values in (self.fewest_tasks, self.most_tasks))
        return tuple(task_range(fewest[begin:driver], most[begin:driver]) for begin, driver in self._stages)

    @cached_property
    def stage_nodes(self) -> tuple[dict[str, tuple[int, ...]], ...]:
        """Nodes of each job's stages by what lasts of their names, in order, (J,)."""
        found: list[dict[str, tuple[int, ...]]] = [{} for _ in self.job_ids]
        for node, (job, name) in enumerate(zip(self.node_job.tolist(), self.names, strict=True)):
            if name:
                lasting = lasting_name(name)
                found[job][lasting] = (*found[job].get(lasting, ()), node)
        return tuple(found)

    def part(self, jobs: slice) -> "Graph":
        """Graph of the jobs between two positions."""
        nodes = self.nodes_of(jobs)
        own = (self.edges[1] >= nodes.start) & (self.edges[1] < nodes.stop)
        return Graph(
            self.job_ids[jobs],
            self.node_job[nodes] - jobs.start,
            self.names[nodes],
            self.occurrence[nodes],
            self.num_tasks[nodes],
            self.edges[:, own] - nodes.start,
            self.failed[jobs],
            None if self.fewest_tasks is None else self.fewest_tasks[nodes],
            None if self.most_tasks is None else self.most_tasks[nodes],
        )

    def nodes_of(self, jobs: slice) -> slice:
        """Positions of the nodes of the jobs between two positions."""
        first, end = np.searchsorted(self.node_job, [jobs.start, jobs.stop])
        return slice(int(first), int(end))

    @property
    def roots(self) -> Ints:
        """Indices of nodes without parents."""
        return np.setdiff1d(np.arange(len(self.names)), self.edges[1])

    @cached_property
    def depths(self) -> Ints:
        """Edges on the longest path from a root to each node, (N,)."""
        level = [0] * len(self.names)
        for parent, child in self.edges.T[np.argsort(self.edges[1], kind="stable")].tolist():
            level[child] = max(level[child], level[parent] + 1)
        return np.array(level, dtype=np.int64)


def job_share(job: JobRecord) -> float:
    """Seconds of a job beyond the critical path of its stages."""
    finish: dict[int, float] = {}
    for stage in sorted(job.stages, key=lambda stage: stage.stage_id):
        before = max((finish.get(parent, 0.0) for parent in stage.parent_ids), default=0.0)
        finish[stage.stage_id] = before + stage.runtime_seconds
    return max(0.0, job.runtime_seconds - max(finish.values(), default=0.0))


def stage_keys(job: JobRecord) -> list[tuple[str, int, StageRecord]]:
    """Stages of a job with what is stable between runs: ids shift, lasting names and their order do not."""
    seen: Counter[str] = Counter()
    keys = []
    in_order = sorted(job.stages, key=lambda stage: stage.stage_id)
    for name, stage in zip(signature_of(job).names, in_order, strict=True):
        keys.append((name, seen[name], stage))
        seen[name] += 1
    return keys


def build_graph(history: Sequence[RunRecord]) -> Graph:
    """Choose for every job the stage graph that most runs had (the most recent among equals)."""
    slots = find_slots(history)
    node_job: list[int] = []
    names: list[str] = []
    occurrence: list[int] = []
    num_tasks: list[float] = []
    ranges: list[tuple[float, float]] = []
    edges: list[tuple[int, int]] = []
    for position, slot in enumerate(slots):
        node_of: dict[int, int] = {}
        childless: set[int] = set()
        usual = _usual(slot.jobs)
        ranges += [*_task_ranges(slot.jobs, usual), (0, 0)]
        for name, count, stage in stage_keys(usual):
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
    fewest_tasks, most_tasks = np.array(ranges, dtype=np.float64).T
    return Graph(
        job_ids=tuple(slot.job_id for slot in slots),
        node_job=np.array(node_job, dtype=np.int64),
        names=tuple(names),
        occurrence=tuple(occurrence),
        num_tasks=np.array(num_tasks),
        edges=np.array(edges, dtype=np.int64).reshape(-1, 2).T.copy(),
        failed=tuple(slot.signature.failed for slot in slots),
        fewest_tasks=fewest_tasks,
        most_tasks=most_tasks,
    )


def _usual(jobs: Sequence[JobRecord]) -> JobRecord:
    """The job whose stages most runs had; one with stages tried again says wrong numbers of tasks."""
    shapes = [signature_of(job).names for job in jobs]
    counts = Counter(shapes)
    return jobs[max(range(len(jobs)), key=lambda i: (counts[shapes[i]], not jobs[i].retried, i))]


def _task_ranges(jobs: Sequence[JobRecord], usual: JobRecord) -> list[tuple[float, float]]:
    """Fewest and most tasks of each stage of the usual job, in all that have its stages."""
    own = signature_of(usual)
    alike = [each for job in jobs if not job.retried and (each := signature_of(job)).names == own.names]
    ordered = np.sort(np.array([each.tasks for each in alike or [own]], dtype=np.float64), axis=0)
    rare = int(RARE_TASKS * len(ordered))
    return list(zip(ordered[rare].tolist(), ordered[len(ordered) - 1 - rare].tolist(), strict=True))


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


@lru_cache(maxsize=4096)
def _ngrams(text: str) -> Floats:
    """Not to be changed: texts recur from decision to decision."""
    counts = np.zeros(CONTEXT_BUCKETS)
    text = f"^{text.lower()[:400]}$"
    for length in (2, 3, 4):
        for i in range(len(text) - length + 1):
            digest = hashlib.blake2s(text[i : i + length].encode(), digest_size=4).digest()
            number = int.from_bytes(digest, "little")
            counts[number % CONTEXT_BUCKETS] += 1.0 if number & 0x80000000 else -1.0
    norm = np.linalg.norm(counts)
    return np.asarray(counts / norm if norm else counts)
