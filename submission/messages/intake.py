"""What becomes of a message: a run, once, or it is set aside.

The order is what makes it one run, whenever the service dies and however often a message is handed over:
the message is stored with the id of the run that it becomes; the run is submitted under that id, with an
idempotency key made of the message and that id; then the message is marked as started. Only then it is
acknowledged. What is set aside is stored, too, before it is acknowledged.
"""

import hashlib
import logging
from contextlib import suppress

from bson import ObjectId
from pymongo.errors import PyMongoError

from common.auth import Principal
from common.errors import ApplicationExecutionNotFound, Conflict, ServiceError
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.instruments import Instruments, unscraped
from common.models.artifacts import ArtifactDamaged
from submission.messages.documents import MessageState, Record, TrainingMessage
from submission.messages.reading import Asked, UnreadableMessage, asked_for, own_id
from submission.messages.repository import MessageRepository
from submission.programs.preparation import Programs
from submission.service import SubmissionService
from submission.submissions import SubmitOptions

logger = logging.getLogger(__name__)

PASSING = (PyMongoError, OSError)
"""Besides errors of the service whose status says so: what goes away by itself."""

_SERVER_ERROR = 500
_LONGEST_PROBLEM = 1000


def is_passing(error: Exception) -> bool:
    """Whether something is only away, so that the same message may become a run later."""
    if isinstance(error, ArtifactDamaged):  # until somebody mends the file, all after it would wait
        return False
    if isinstance(error, ServiceError):
        return error.status >= _SERVER_ERROR
    return isinstance(error, PASSING)


class Intake:
    """Takes messages, one after another."""

    def __init__(
        self,
        stored: MessageRepository,
        submissions: SubmissionService,
        executions: ExecutionRepository,
        programs: Programs,
        principal: Principal,
        *,
        copies_what_is_set_aside: bool = False,
        instruments: Instruments | None = None,
    ) -> None:
        """
        Args:
            principal: Whom messages are recorded for, with what they may.
            copies_what_is_set_aside: Whether that is to be sent somewhere.
        """
        self._stored = stored
        self._submissions = submissions
        self._executions = executions
        self._programs = programs
        self._principal = principal
        self._copies = copies_what_is_set_aside
        self._instruments = instruments or unscraped()

    async def take(self, record: Record) -> TrainingMessage:
        """Store what a message asks for; handed over again, it is what it was.

        Raises:
            PyMongoError, OSError, ServiceError: Something is away (`is_passing`): nothing may be
                acknowledged.
        """
        there = await self._stored.find(record.position)
        if there is not None and there.state is not MessageState.RECEIVED:
            return self._counted(there, "repeated")
        try:
            return await self._take(record)
        except UnreadableMessage as error:
            return await self._set_aside(record, MessageState.UNREADABLE, str(error))
        except Exception as error:
            if is_passing(error):
                raise
            if isinstance(error, ServiceError):
                return await self._set_aside(record, MessageState.REFUSED, f"{error.title}: {error}")
            # It would stop all that come after it, for ever.
            logger.exception("the message %s is set aside", record.position)
            problem = f"The service has failed with it: {type(error).__name__}"
            return await self._set_aside(record, MessageState.REFUSED, problem)

    async def _take(self, record: Record) -> TrainingMessage:
        new = _document(record, own_id(record))
        there = await self._stored.find(new.id)
        if there is None:
            asked = await self._asked(record)
            new.workspace, new.execution_id = asked.workspace, str(ObjectId())
            there = await self._stored.insert(new)
        if there.sha256 != new.sha256:
            raise Conflict(f"A message of the id {new.own_id} came before, and asked for something else.")
        if there.state is not MessageState.RECEIVED:
            return self._counted(there, "repeated")
        return await self._start(there, record)

    async def _asked(self, record: Record) -> Asked:
        """What it asks for, as far as messages may. Raises UnreadableMessage, NotFound or Forbidden."""
        asked = asked_for(record)
        await self._programs.rights.check_may_run(asked.submission, self._principal)
        return asked

    async def _start(self, message: TrainingMessage, record: Record) -> TrainingMessage:
        execution = await self._find(message.execution_id)
        if execution is not None and execution.state is ApplicationState.SUBMISSION_FAILED:
            await self._stored.renew(message, str(ObjectId()))
            message = await self._stored.find(message.id) or message
            execution = await self._find(message.execution_id)
        if execution is None:
            execution = await self._submit(message, record)
        await self._stored.started(message, execution.id)
        logger.info("the message %s has become the run %s", message.id, execution.id)
        return self._counted(await self._stored.find(message.id) or message, "started")

    async def _submit(self, message: TrainingMessage, record: Record) -> ApplicationExecution:
        try:
            asked = await self._asked(record)
            options = SubmitOptions(
                name=asked.submission.name,
                # Of this run: what became of one that no platform took is nothing to wait for.
                idempotency_key=f"message/{message.id}/{message.execution_id}",
                submitted_by=self._principal.name,
                execution_id=message.execution_id,
            )
            return (await self._submissions.submit(asked.submission, options)).execution
        except ServiceError as error:
            if not is_passing(error):
                await self._stored.forget(message)
            raise

    async def _find(self, execution_id: str | None) -> ApplicationExecution | None:
        with suppress(ApplicationExecutionNotFound):
            return await self._executions.get(execution_id or "")
        return None

    async def _set_aside(self, record: Record, state: MessageState, problem: str) -> TrainingMessage:
        message = _document(record, None)
        message.state, message.open = state, self._copies
        message.problem = problem.encode(errors="replace").decode()[:_LONGEST_PROBLEM]
        message.excerpt = record.excerpt
        logger.warning("the message %s is set aside: %s", message.id, message.problem)
        return self._counted(await self._stored.set_aside(message), state.value.lower())

    def _counted(self, message: TrainingMessage, result: str) -> TrainingMessage:
        self._instruments.messages.labels(result).inc()
        return message


def _document(record: Record, given_id: str | None) -> TrainingMessage:
    return TrainingMessage(
        id=record.position if given_id is None else f"{record.topic}/id/{given_id}",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=None if record.key is None else record.key.decode(errors="replace")[:256],
        own_id=given_id,
        sha256=hashlib.sha256(record.value or b"").hexdigest(),
    )
