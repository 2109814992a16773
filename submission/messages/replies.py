"""What is told of runs that messages have started: changes of state, in order, and the result.

What a run's document says is what is to be told; what the broker has acknowledged is stored with the message.
A service that dies in between begins where it was: everything is told at least once.
"""

import logging
from typing import TYPE_CHECKING, Any

from common.errors import ServiceError
from common.executions.documents import ApplicationExecution, StateChange
from common.executions.repository import ExecutionRepository
from common.loops import Loop
from common.models.artifacts import ArtifactDamaged
from common.mongo.document import utc_now
from submission.messages.documents import Json, TrainingMessage
from submission.messages.errors import MessageTooLarge, NotAcknowledged
from submission.messages.repository import MessageRepository
from submission.programs.documents import ProgramRun
from submission.programs.figures import METRICS_FILE, RESULT_FILE, Unreadable, read_object
from submission.programs.opened import OpenPrograms
from submission.programs.tasks import model_of

if TYPE_CHECKING:
    from submission.messages.broker import Broker

logger = logging.getLogger(__name__)

_TURN_SECONDS = 1.0
_MOST_RESULT_BYTES = 256 << 10
"""Brokers take messages of 1 MiB, unless told otherwise; a larger result is fetched over HTTP."""


class Replies:
    """Sends what there is to tell."""

    def __init__(
        self,
        stored: MessageRepository,
        executions: ExecutionRepository,
        programs: OpenPrograms,
        broker: "Broker",
        sender: str,
    ) -> None:
        """`sender` names this service among those of the database."""
        self._stored = stored
        self._executions = executions
        self._programs = programs
        self._broker = broker
        self._sender = sender

    def loop(self) -> Loop:
        """To run while the service does."""
        return Loop("replies to messages", self.turn, _TURN_SECONDS)

    async def turn(self) -> None:
        """Send whatever is new.

        Raises:
            NotAcknowledged: A topic does not take it; what goes to the other one is sent all the same.
        """
        held: dict[str, NotAcknowledged] = {}
        # A topic that is missing takes its time to say so: copies of what was set aside come last.
        for message in sorted(await self._stored.open(), key=lambda each: each.state.is_set_aside):
            topic = self._topic(message)
            if topic in held:
                continue
            try:
                if message.state.is_set_aside:
                    await self._copy(message)
                else:
                    await self._look_at(message)
            except NotAcknowledged as error:
                held[topic] = error
            except ServiceError as error:  # of one run, whose result cannot be read, for instance
                logger.warning("%s: it is told later: %s", message.id, error)
        if held:
            raise next(iter(held.values()))

    def _topic(self, message: TrainingMessage) -> str:
        settings = self._broker.settings
        is_aside = message.state.is_set_aside
        return settings.kafka_dead_letter_topic if is_aside else settings.kafka_reply_topic

    async def _look_at(self, message: TrainingMessage) -> None:
        execution = await self._executions.get(message.execution_id or "")
        for number, change in unsent_changes(message.states_sent, execution):
            if not await self._stored.claim(message, self._sender):
                return
            await self._send("state", message, _state(message, execution, number, change))
            await self._stored.note(message, {"states_sent": number + 1})
        if not execution.state.is_final:
            return
        if not message.result_sent:
            run = await self._programs.runs.find(execution.id)
            is_settled = run is None or not run.unpublished
            if not is_settled or not await self._stored.claim(message, self._sender):
                return
            await self._send_result(message, await self._result(message, execution, run))
        waits_for_log = self._broker.settings.kafka_log_topic and not message.log_sent
        await self._stored.note(message, {"result_sent": True, "open": bool(waits_for_log)})

    async def _copy(self, message: TrainingMessage) -> None:
        topic = self._topic(message)
        if topic:
            if not await self._stored.claim(message, self._sender):
                return  # whoever sends it may fail yet
            body = message.model_dump(
                mode="json",
                include={"topic", "partition", "offset", "key", "state", "problem", "excerpt", "created_at"},
            )
            await self._broker.send("dead_letter", topic, message.id, body)
        await self._stored.note(message, {"result_sent": True, "open": False})

    async def _send(self, kind: str, message: TrainingMessage, body: Json) -> None:
        topic = self._topic(message)
        await self._broker.send(kind, topic, message.execution_id or "", {"type": kind, **body})

    async def _send_result(self, message: TrainingMessage, body: Json) -> None:
        """Without what the program has left, where the broker takes nothing so large."""
        try:
            await self._send("result", message, body)
        except MessageTooLarge as error:
            where = f"{error} GET /training/program_runs/{message.execution_id}/result"
            detail = " ".join(filter(None, [body["detail"], where]))
            await self._send("result", message, {**body, "result": None, "detail": detail})

    async def _result(
        self, message: TrainingMessage, execution: ApplicationExecution, run: ProgramRun | None
    ) -> Json:
        result, detail = await self._read_result(run)
        return {
            **_about(message, execution),
            "state": execution.state.value,
            "reason": execution.state_reason,
            "at": utc_now().isoformat(),
            "exit_code": run.exit_code if run else None,
            "end_reason": run.end_reason if run else "",
            "runtime_seconds": execution.runtime_seconds,
            "target_met": execution.target_met,
            "model": model_of(execution),
            "version": run.version if run else None,
            "detail": (run.publishing_detail if run else "") or detail,
            "metrics": run.metrics if run else {},
            "result": result,
        }

    async def _read_result(self, run: ProgramRun | None) -> tuple[Any, str]:
        """What the run has left as its result, or null and why."""
        output = run.output if run is not None else None
        for path in (RESULT_FILE, METRICS_FILE):
            if run is None or output is None or output.completed_at is None or output.find(path) is None:
                continue
            file = self._programs.outputs.file(run, path)
            if file.size_bytes > _MOST_RESULT_BYTES:
                return None, f"{path} is too large for a message: GET /training/program_runs/{run.id}/result"
            try:
                return read_object(await self._programs.outputs.read(run.id, file), path), ""
            except (Unreadable, ArtifactDamaged) as error:
                return None, str(error)
        return None, ""


def _about(message: TrainingMessage, execution: ApplicationExecution) -> Json:
    return {
        "id": execution.id,
        "message_id": message.own_id,
        "workspace": message.workspace,
    }


def unsent_changes(sent: int, execution: ApplicationExecution) -> list[tuple[int, StateChange]]:
    """State changes that are still kept, by their numbers from `sent` on."""
    left_out = execution.state_changes_left_out
    numbered = ((at + left_out if at else 0, change) for at, change in enumerate(execution.state_changes))
    return [(number, change) for number, change in numbered if number >= sent]


def _state(
    message: TrainingMessage, execution: ApplicationExecution, number: int, change: StateChange
) -> Json:
    return {
        **_about(message, execution),
        "sequence": number,
        "state": change.state.value,
        "is_final": change.state.is_final,
        "reason": change.reason,
        "at": change.at.isoformat(),
    }
