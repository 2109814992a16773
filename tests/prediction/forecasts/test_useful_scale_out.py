"""How many executors have something to do."""

from collections.abc import Sequence

import numpy as np
import pytest

from prediction.forecasts.useful_scale_out import tasks_at_a_time, useful_scale_out
from prediction.forecasts.whole_run import forecast_whole_run
from prediction.policies.policy import Situation
from prediction.policies.scale_out_rule import ScaleOutRule, choose_scale_out
from training.history.values import JobRecord, RunContext, RunRecord, StageRecord

CONTEXT = RunContext("Sorting", executor_cores=2)
CANDIDATES = tuple(range(1, 41))


def stage(number: int, tasks: int, parents: tuple[int, ...] = ()) -> StageRecord:
    return StageRecord(
        stage_id=number,
        name=f"map at {number}",
        num_tasks=tasks,
        parent_ids=parents,
        start_seconds=0.0,
        runtime_seconds=1.0,
        start_scale_out=1,
        end_scale_out=1,
        rescaling_time_ratio=0.0,
        metrics=None,
    )


def run(scale_out: int, tasks: int, seconds: float | None = None, number: int = 0) -> RunRecord:
    """Four jobs, whose tasks take 40 seconds of a core together."""
    slots = min(scale_out * CONTEXT.executor_cores, tasks)
    each = seconds / 4 if seconds else 10.0 / slots
    jobs = tuple(
        JobRecord(job, job * each, each, scale_out, scale_out, 0.0, (stage(0, tasks), stage(1, tasks, (0,))))
        for job in range(4)
    )
    return RunRecord(f"run-{scale_out}-{number}", CONTEXT, 60.0 * (scale_out + number), jobs, 4 * each)


def test_stages_beside_each_other_and_jobs_at_a_time_add_up() -> None:
    beside = JobRecord(0, 0.0, 5.0, 2, 2, 0.0, (stage(0, 8), stage(1, 4), stage(2, 6, (0, 1))))
    later = JobRecord(1, 4.0, 5.0, 2, 2, 0.0, (stage(3, 3),))
    after = JobRecord(2, 9.0, 1.0, 2, 2, 0.0, (stage(4, 14),))
    assert tasks_at_a_time(RunRecord("a", CONTEXT, 0.0, (beside, later, after))) == 15
    assert tasks_at_a_time(RunRecord("a", CONTEXT, 0.0, (beside, JobRecord(1, 5.0, 1.0, 2, 2, 0.0)))) is None


@pytest.mark.parametrize(
    ("runs", "useful"),
    [
        ([run(2, 8), run(4, 8), run(8, 8)], 4),  # idle cores, and the same with few and many
        ([run(2, 8), run(8, 8)], 8),  # what four take is not measured; what eight take is
        ([run(1, 8), run(2, 8), run(3, 8)], 4),  # beyond what was seen, but known
        ([run(2, 8)], None),  # may be as many as there happen to be
        ([run(1, 2), run(2, 4), run(4, 8)], None),  # follows the cluster
        ([run(2, 8), RunRecord("a", CONTEXT, 0.0, (JobRecord(0, 0.0, 1.0, 8, 8, 0.0),), 1.0)], None),
        ([run(2, 8), run(4, 8), run(8, 8, seconds=1.0)], None),  # memory, not cores
        ([], None),
    ],
)
def test_it_is_known_where_tasks_do_not_follow_the_cluster(
    runs: Sequence[RunRecord], useful: int | None
) -> None:
    assert useful_scale_out(runs) == useful


def test_executors_without_a_task_are_not_asked_for() -> None:
    """Laws fitted to 1 to 3 executors go on falling, and would take all that there are."""
    runs = [run(x, 8, number=number) for number in range(3) for x in (1, 2, 3)]
    found = forecast_whole_run(runs, None, CONTEXT, CANDIDATES)
    assert len(found.candidates) == len(found.runtime_seconds) == len(CANDIDATES)
    assert set(found.runtime_seconds[3:]) == {found.runtime_seconds[3]}
    assert "more than 4 executors have no task to run" in found.description
    for target in (0.5, 4.9, 5.5):
        chosen = choose_scale_out(Situation(found.choices(target), target), ScaleOutRule(0.97))
        assert chosen.scale_out <= 4


def test_jobs_back_to_back_are_not_beside_each_other() -> None:
    random, widths = np.random.default_rng(0), set()
    for _ in range(200):
        begun, middle, end = sorted(random.integers(0, 10**6, 3) + np.array([0, 1, 2]))
        first = JobRecord(0, begun / 1000, (middle - begun) / 1000, 2, 2, 0.0, (stage(0, 8),))
        second = JobRecord(1, middle / 1000, (end - middle) / 1000, 2, 2, 0.0, (stage(1, 8),))
        widths.add(tasks_at_a_time(RunRecord("a", CONTEXT, 0.0, (first, second))))
    assert widths == {8}
