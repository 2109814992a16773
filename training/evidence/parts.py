"""Evidence as JSON values and arrays, and back: the form in which an artifact keeps it."""

from dataclasses import fields
from typing import Any

import numpy as np

from training.evidence.graph import Graph
from training.evidence.table import Evidence
from training.history.values import METRIC_NAMES, context_from_json
from training.statistics.arrays import Floats


def evidence_to_parts(evidence: Evidence) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Split evidence into JSON values and arrays, for the artifact."""
    graph = evidence.graph
    structure = {
        "job_ids": list(graph.job_ids),
        "node_job": graph.node_job.tolist(),
        "names": list(graph.names),
        "occurrence": list(graph.occurrence),
        "num_tasks": graph.num_tasks.tolist(),
        "edges": graph.edges.tolist(),
        "contexts": [
            {f.name: getattr(context, f.name) for f in fields(context)} for context in evidence.contexts
        ],
    }
    if graph.failed:  # version 0.1 knew nothing of it, and reads its own models again as it wrote them
        structure["failed"] = list(graph.failed)
    if graph.fewest_tasks is not None and graph.most_tasks is not None:
        structure["fewest_tasks"] = graph.fewest_tasks.tolist()
        structure["most_tasks"] = graph.most_tasks.tolist()
    arrays = {f.name: getattr(evidence, f.name) for f in fields(evidence)[2:]}
    return structure, arrays


def evidence_from_parts(structure: dict[str, Any], arrays: dict[str, Floats]) -> Evidence:
    """Rebuild evidence from what `evidence_to_parts` split it into.

    Raises:
        KeyError, TypeError, ValueError: The parts do not fit together.
    """
    graph = Graph(
        job_ids=tuple(int(value) for value in structure["job_ids"]),
        node_job=np.array(structure["node_job"], dtype=np.int64),
        names=tuple(str(name) for name in structure["names"]),
        occurrence=tuple(int(value) for value in structure["occurrence"]),
        num_tasks=np.array(structure["num_tasks"], dtype=np.float64),
        edges=np.array(structure["edges"], dtype=np.int64).reshape(2, -1),
        failed=tuple(bool(value) for value in structure.get("failed", ())),
        fewest_tasks=_task_numbers(structure.get("fewest_tasks")),
        most_tasks=_task_numbers(structure.get("most_tasks")),
    )
    contexts = tuple(context_from_json(item) for item in structure["contexts"])
    runs, jobs, nodes = len(contexts), len(graph.job_ids), len(graph.names)
    if not (graph.node_job.shape == graph.num_tasks.shape == (nodes,) and len(graph.occurrence) == nodes):
        raise ValueError("the graph's lists differ in length")
    if len(graph.failed) not in (0, jobs):
        raise ValueError("the graph says of some jobs only whether they fail")
    _check_task_ranges(graph)
    if graph.edges.size and not (
        graph.edges.min() >= 0 and graph.edges.max() < nodes and (graph.edges[0] < graph.edges[1]).all()
    ):
        raise ValueError("an edge of the graph leads nowhere")
    if runs == 0 or not np.array_equal(graph.node_job[graph.drivers], np.arange(jobs)):
        raise ValueError("every job needs one driver node, and there must be a run")
    for item in fields(Evidence)[2:]:
        by_node = (runs, nodes) if item.name == "log_runtime" else (runs, jobs)
        shape = {"metrics": (runs, nodes, len(METRIC_NAMES)), "total": (runs,), "tail": (runs,)}
        expected = shape.get(item.name, by_node)
        if arrays[item.name].shape != expected:
            raise ValueError(f"{item.name} has shape {arrays[item.name].shape}, expected {expected}")
        if np.isinf(arrays[item.name]).any():
            raise ValueError(f"{item.name} is not finite")
    return Evidence(graph, contexts, **{f.name: arrays[f.name] for f in fields(Evidence)[2:]})


def _task_numbers(values: Any) -> Floats | None:
    return None if values is None else np.array(values, dtype=np.float64)


def _check_task_ranges(graph: Graph) -> None:
    """Raises ValueError."""
    fewest, most = graph.fewest_tasks, graph.most_tasks
    if fewest is None and most is None:
        return
    if fewest is None or most is None or not fewest.shape == most.shape == graph.num_tasks.shape:
        raise ValueError("the graph says of some stages only how many tasks they had")
    if not (np.isfinite(most).all() and (fewest >= 0).all() and (fewest <= most).all()):
        raise ValueError("the graph has ranges of tasks that are none")
