"""Which states of a run are told, and under which numbers; and by which of several services."""

from typing import Any, cast

import pytest

from common.executions.documents import ApplicationState, StateChange
from common.mongo.document import utc_now
from submission.messages.documents import MessageState, TrainingMessage
from submission.messages.errors import NotAcknowledged
from submission.messages.replies import Replies, unsent_changes
from tests.support.messages import MessageServices
from tests.support.noted_broker import NotingBroker
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


async def test_a_copy_that_another_service_sends_is_open_until_the_broker_has_it(
    services: MessageServices,
) -> None:
    async with services.open("") as service:
        stored = service.messages.stored
        brokers = [NotingBroker(kafka_dead_letter_topic="dead") for _ in range(2)]
        first, second = (
            Replies(stored, service.executions, service.programs, cast(Any, broker), f"service {number}")
            for number, broker in enumerate(brokers)
        )
        aside = {"topic": "requests", "partition": 0, "offset": 7, "sha256": "", "problem": "no JSON"}
        await stored.insert(
            TrainingMessage(id="requests/0/7", state=MessageState.UNREADABLE, open=True, **aside)
        )
        brokers[0].takes = 0
        with pytest.raises(NotAcknowledged):
            await first.turn()
        await second.turn()
        assert [(message.id, message.result_sent) for message in await stored.open()] == [
            ("requests/0/7", False)
        ]
        brokers[0].takes = None
        await first.turn()
        assert [(topic, body["problem"]) for topic, body in brokers[0].sent] == [("dead", "no JSON")]
        assert not brokers[1].sent
        assert not await stored.open()
