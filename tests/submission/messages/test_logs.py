"""Which lines of a run's log are sent, and with which numbers."""

from pathlib import Path
from typing import Any, cast

from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from submission.local.runner import LocalSparkRunner
from submission.messages.documents import MessageState, TrainingMessage
from submission.messages.logs import LogLines
from submission.messages.repository import MessageRepository
from tests.support.doubles import OpenSubmissions
from tests.support.messages import eventually
from tests.support.noted_broker import NotingBroker
from tests.support.samples import execution

LINES = [f"{number} {'.' * 8000}" for number in range(700)]
"""5.6 MB: more than is told of the end of a log."""


async def test_a_long_log_is_sent_from_its_beginning_each_line_once_whatever_interrupts_it(
    mongo: Client,
    database: str,
    executions: ExecutionRepository,
    open_submissions: OpenSubmissions,
    tmp_path: Path,
) -> None:
    run = execution()
    run.runner = "local"
    await executions.insert(run)
    await executions.record_state(run.id, ApplicationState.COMPLETED)
    log = tmp_path / "applications" / run.id / "driver.log"
    log.parent.mkdir(parents=True)
    log.write_text("\n".join(LINES))
    stored = MessageRepository(mongo, database)
    where = {"topic": "requests", "partition": 0, "offset": 7, "sha256": ""}
    await stored.insert(
        TrainingMessage(id="7", execution_id=run.id, state=MessageState.STARTED, open=True, **where)
    )
    broker = NotingBroker(kafka_log_topic="logs")
    broker.takes = 20
    submissions = open_submissions(LocalSparkRunner(tmp_path, executions.record_state))
    logs = LogLines(stored, executions, submissions, cast(Any, broker), "here")

    async def is_interrupted() -> bool:
        await logs.turn()
        return broker.refused > 0

    async def is_sent() -> bool:
        await logs.turn()
        message = await stored.find("7")
        return message is not None and message.log_sent

    await eventually(is_interrupted)
    before = len(broker.sent)
    broker.takes = None
    await eventually(is_sent)
    await logs.aclose()
    assert 0 < before < len(broker.sent)
    told = [(body["offset"] + at, line) for _, body in broker.sent for at, line in enumerate(body["lines"])]
    assert told == list(enumerate(LINES))
