"""Which states of a run are told, and under which numbers."""

from common.executions.documents import ApplicationState, StateChange
from common.mongo.document import utc_now
from submission.messages.replies import unsent_changes
from tests.support.samples import execution


def test_numbers_go_on_where_changes_are_kept_no_more() -> None:
    run = execution()
    run.state_changes = [
        StateChange(state=ApplicationState.RUNNING, at=utc_now(), reason=str(n)) for n in (0, 8, 9)
    ]
    assert [number for number, _ in unsent_changes(1, run)] == [1, 2]
    run.state_changes_left_out = 7
    assert [(number, change.reason) for number, change in unsent_changes(0, run)] == [
        (0, "0"),
        (8, "8"),
        (9, "9"),
    ]
    assert [number for number, _ in unsent_changes(3, run)] == [8, 9]
    assert unsent_changes(10, run) == []
