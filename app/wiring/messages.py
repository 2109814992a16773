"""Training by message: the broker, where one is configured, and what is stored of its messages."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from app.wiring.storage import Storage
from common.auth import EVERYTHING, Permission, Principal
from common.processes.guarded import service_identity
from common.settings.settings import Settings
from submission.messages.intake import Intake
from submission.messages.logs import LogLines
from submission.messages.opened import OpenBroker, TrainingMessages
from submission.messages.replies import Replies
from submission.messages.repository import MessageRepository
from submission.programs.opened import OpenPrograms
from submission.service import SubmissionService

_OF_RUNNERS = frozenset({Permission.READ, Permission.SUBMIT})


@asynccontextmanager
async def open_messages(
    settings: Settings,
    storage: Storage,
    programs: OpenPrograms,
    submissions: SubmissionService,
) -> AsyncIterator[TrainingMessages]:
    """Reading from then on, until the context ends.

    Raises:
        StartError: A broker is configured, and cannot be used.
    """
    stored = MessageRepository(storage.mongo, storage.database)
    storage.setting_up.begin_indexes(stored)
    if not settings.messages.kafka_endpoint:
        yield TrainingMessages(stored, None)
        return
    from submission.messages.broker import Broker  # 30 MB and a third of a second, where there is a broker

    executions, sender = storage.executions, service_identity()
    principal = Principal(
        settings.messages.kafka_runs_as, _OF_RUNNERS if settings.access_by_tokens else EVERYTHING
    )
    intake = Intake(
        stored,
        submissions,
        executions,
        programs.preparation,
        principal,
        copies_what_is_set_aside=bool(settings.messages.kafka_dead_letter_topic),
        instruments=storage.instruments,
    )
    async with AsyncExitStack() as stack:
        broker = Broker(settings.messages, intake.take, storage.instruments)
        replies = Replies(stored, executions, programs, broker, sender)
        logs = LogLines(stored, executions, submissions, broker, sender)
        await storage.setting_up.done()  # what is read is stored
        await broker.start()
        stack.push_async_callback(broker.stop)
        stack.push_async_callback(logs.aclose)
        yield TrainingMessages(stored, OpenBroker(broker, replies, logs, principal))
