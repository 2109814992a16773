"""Messages that ask for runs of programs, over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query

from common.mongo.document import UtcTime
from common.wire.specs import WireModel
from routers.dependencies import MessagesDep
from routers.pagination import Cursor, Hint, Limit, Unreadable, decode_cursor, encode_cursor, hint_for
from routers.principal import READS
from submission.messages.documents import MessageState, TrainingMessage

router = APIRouter(prefix="/training", tags=["programs"])


class TrainingMessageView(WireModel):
    """One message, and what has become of it."""

    id: str | None
    """Which it says it has."""
    topic: str
    partition: int
    offset: int
    key: str | None
    received_at: UtcTime
    workspace: str | None
    state: MessageState
    application_execution_id: str | None
    """The run that it has become."""
    problem: str
    """Why it was set aside."""
    excerpt: str
    """The beginning of what was set aside."""

    @classmethod
    def of(cls, message: TrainingMessage) -> "TrainingMessageView":
        shown = message.model_dump(
            include={"topic", "partition", "offset", "key", "workspace", "state", "problem", "excerpt"}
        )
        has_run = message.state is MessageState.STARTED
        return cls(
            **shown,
            id=message.own_id,
            received_at=message.created_at,
            application_execution_id=message.execution_id if has_run else None,
        )


class TrainingMessagePage(WireModel):
    items: list[TrainingMessageView]
    next_cursor: str | None
    hint: Hint = None
    unreadable: Unreadable


@router.get("/messages", dependencies=READS)
async def list_training_messages(
    messages: MessagesDep,
    state: Annotated[MessageState | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> TrainingMessagePage:
    """Messages that came from the broker, newest first; UNREADABLE and REFUSED ones were set aside."""
    found = await messages.stored.newest(state, before=decode_cursor(cursor), limit=limit + 1)
    page = found[:limit]
    what_fills_it = (
        "KAFKA_ENDPOINT names the broker that messages come from."
        if messages.opened is None
        else f"Messages to the topic {messages.opened.broker.settings.kafka_training_topic} appear here."
    )
    return TrainingMessagePage(
        items=[TrainingMessageView.of(message) for message in page],
        next_cursor=encode_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None,
        hint=hint_for(page, what_fills_it, state, cursor),
        unreadable=found.unreadable,
    )
