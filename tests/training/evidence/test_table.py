from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.synthetic import CONTEXT, make_history, make_run
from training.evidence.graph import critical_path, hashed_context
from training.evidence.similarity import similarity
from training.evidence.table import EmptyHistory, collect, expected_jobs, medians, reduced
from training.evidence.timing import timing
from training.history.values import JobRecord, RunRecord, StageRecord


def stage(stage_id: int, runtime: float, parents: tuple[int, ...] = (), name: str = "map") -> StageRecord:
    return StageRecord(stage_id, name, 8, parents, 0.0, runtime, 4, 4, 0.0, None)


def run_of(*jobs: JobRecord, runtime: float | None = None, run_id: str = "r") -> RunRecord:
    return RunRecord(run_id, CONTEXT, 0.0, jobs, runtime)


def test_a_job_is_its_stages_and_a_driver_node_after_the_last_ones() -> None:
    # 10 -> 12, 11 -> 12, 12 -> 13, and 14 on its own
    stages = (
        stage(10, 2.0, name="a"),
        stage(11, 5.0, name="b"),
        stage(12, 1.0, (10, 11), name="c"),
        stage(13, 4.0, (12,), name="d"),
        stage(14, 3.0, name="e"),
    )
    table = collect([run_of(JobRecord(0, 0.0, 11.5, 4, 4, 0.0, stages))])
    assert table.graph.names == ("a", "b", "c", "d", "e", "")
    assert set(map(tuple, table.graph.edges.T.tolist())) == {(0, 2), (1, 2), (2, 3), (3, 5), (4, 5)}
    assert table.graph.depths.max() == 3
    assert np.exp(table.log_runtime[0, 5]) == pytest.approx(1.5)  # 11.5 - (5 + 1 + 4)
    assert critical_path(table.graph, np.exp(table.log_runtime)) == pytest.approx(np.array([[11.5]]))


def test_a_job_without_stages_is_one_node_with_its_own_runtime() -> None:
    table = collect([run_of(JobRecord(0, 0.0, 7.0, 4, 4, 0.0), JobRecord(1, 7.0, 3.0, 4, 4, 0.0))])
    assert table.graph.names == ("", "")
    assert np.exp(table.log_runtime) == pytest.approx(np.array([[7.0, 3.0]]))


def test_stage_ids_may_shift_between_runs() -> None:
    first = run_of(JobRecord(0, 0.0, 5.0, 4, 4, 0.0, (stage(3, 2.0), stage(4, 2.5, (3,)))), run_id="a")
    second = run_of(JobRecord(0, 0.0, 5.0, 4, 4, 0.0, (stage(7, 1.0), stage(9, 3.5, (7,)))), run_id="b")
    table = collect([first, second])
    assert len(table.graph.names) == 3
    assert np.exp(table.log_runtime[:, :2]) == pytest.approx(np.array([[2.0, 2.5], [1.0, 3.5]]))


def test_a_skipped_stage_leaves_its_node_and_the_jobs_share_unknown() -> None:
    whole = make_history((2, 3, 4))
    table = collect([*whole, make_run(9, 4, skip=(2,))])
    nodes = np.flatnonzero(table.graph.node_job == 2)
    assert np.isfinite(table.log_runtime[3, nodes]).tolist() == [False, True, False]
    assert np.isfinite(table.log_job_runtime[3, 2])


def test_gaps_zero_runtimes_and_empty_runs() -> None:
    history = make_history((2, 4), job_ids=(0, 3, 8))
    jobs = tuple(replace(job, runtime_seconds=0.0, stages=()) for job in history[0].jobs)
    table = collect([replace(history[0], jobs=jobs), history[1], run_of()])
    assert table.graph.job_ids == (0, 3, 8)
    assert len(table.contexts) == 2
    assert not np.isinf(table.log_job_runtime).any()
    with pytest.raises(EmptyHistory):
        collect([run_of()])
    with pytest.raises(EmptyHistory):
        collect([])


def test_time_between_overlapping_jobs_adds_up_to_the_run() -> None:
    run = run_of(
        JobRecord(0, 2.0, 10.0, 4, 4, 0.0),
        JobRecord(1, 5.0, 9.0, 4, 4, 0.0),  # 7 of its 9 seconds beside job 0
        JobRecord(2, 15.0, 4.0, 4, 4, 0.0),
        runtime=20.0,
    )
    table = collect([run])
    assert table.lead.tolist() == [[2.0, 0.0, 1.0]]
    remaining = timing(table, np.array([True])).remaining(
        np.exp(table.log_job_runtime[0]), np.ones(3, dtype=bool)
    )
    assert remaining[0] == pytest.approx(20.0)
    assert remaining[2] == pytest.approx(6.0)


def test_expected_jobs_follow_the_median_length_of_the_nearest_context() -> None:
    short = [make_run(i, 4, jobs=jobs) for i, jobs in enumerate((10, 12, 14))]
    other = replace(CONTEXT, algorithm_args=("--iterations", "30"))
    table = collect([*short, *(make_run(5 + i, 4, jobs=20, context=other) for i in range(4))])
    assert expected_jobs(table, CONTEXT).sum() == 12
    assert expected_jobs(table, other).sum() == 20


def test_similarity_falls_with_every_difference() -> None:
    contexts = (
        CONTEXT,
        replace(CONTEXT, data_size_mb=4096),
        replace(CONTEXT, algorithm_args=("--iterations", "20")),
        replace(CONTEXT, machine_name="other", data_size_mb=9000),
    )
    same, *others = similarity(contexts, CONTEXT)
    assert same == 1.0
    assert all(0 < value < 1 for value in others)


def test_similar_names_have_similar_hashes() -> None:
    names = ("collectAsMap at KMeans.scala:300", "collectAsMap at KMeans.scala:301", "treeAggregate at GBT:7")
    stages = tuple(stage(i, 1.0, name=name) for i, name in enumerate(names))
    table = collect([run_of(JobRecord(0, 0.0, 4.0, 4, 4, 0.0, stages))])
    hashed = hashed_context(table.graph, CONTEXT)
    assert np.linalg.norm(hashed, axis=1) == pytest.approx(np.ones(4))
    assert hashed[0] @ hashed[1] > hashed[0] @ hashed[2] + 0.2


def test_reduced_keeps_the_chosen_runs() -> None:
    table = collect(make_history((2, 3, 4)))
    part = reduced(table, [0, 2])
    assert part.contexts == (table.contexts[0], table.contexts[2])
    assert np.array_equal(part.log_job_runtime, table.log_job_runtime[[0, 2]])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=6), st.randoms())
def test_critical_path_lies_between_the_longest_node_and_the_sum(runtimes: list[float], random) -> None:  # type: ignore[no-untyped-def]
    stages = tuple(
        stage(i, runtime, tuple(p for p in range(i) if random.random() < 0.5), name=f"s{i}")
        for i, runtime in enumerate(runtimes)
    )
    table = collect([run_of(JobRecord(0, 0.0, sum(runtimes) + 1.0, 4, 4, 0.0, stages))])
    total = float(critical_path(table.graph, np.exp(table.log_runtime))[0, 0])
    assert max(runtimes) <= total <= sum(runtimes) + 1.0 + 1e-6
    assert total == pytest.approx(sum(runtimes) + 1.0)


@given(
    st.lists(st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(np.nan)), min_size=3, max_size=3), max_size=6)
)
def test_medians_are_those_of_what_is_known(rows: list[list[float]]) -> None:
    table = np.array(rows).reshape(-1, 3)
    known = [column[np.isfinite(column)] for column in table.T]
    assert list(medians(table)) == [np.median(column) if len(column) else 0.0 for column in known]
