"""What the service was worth lately."""

from common.executions.documents import ApplicationExecution, ApplicationState
from submission.outcomes.summary import summarize_runs
from tests.support.samples import at, execution


def completed(seconds: float) -> ApplicationExecution:
    run = execution()
    run.state, run.start_time, run.end_time = ApplicationState.COMPLETED, at(0), at(seconds)
    return run


def test_executor_hours_are_those_of_runs_whose_executors_are_known() -> None:
    runs = [completed(1800.0), completed(60.0)]
    [none] = summarize_runs(runs, {}, {})
    assert (none.completed, none.measured, none.executor_hours) == (2, 0, 0.0)
    [some] = summarize_runs(runs, {runs[0].id: 4.0}, {})
    assert (some.completed, some.measured, some.executor_hours) == (2, 1, 2.0)
