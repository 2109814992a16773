"""Requests that go to a broker, and those that came from it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from app.cli.console import facts, table
from app.cli.units import moment
from app.client.answers import TrainingMessage


def messages_view(messages: Sequence[TrainingMessage]) -> RenderableType:
    if not messages:
        return Text("No messages. `enel programs send WORKSPACE` sends one.")
    columns = ("Id", "State", "Workspace", "Run", "Problem", "Received")
    rows = (
        (
            each["id"] or f"{each['topic']}/{each['partition']}/{each['offset']}",
            each["state"],
            each["workspace"] or "",
            each["application_execution_id"] or "",
            each["problem"],
            moment(each["received_at"]),
        )
        for each in messages
    )
    return table(columns, rows)


def sent_view(sent: Mapping[str, Any]) -> RenderableType:
    where = f"{sent['topic']}, partition {sent['partition']}, offset {sent['offset']}"
    return facts((("Id", str(sent["id"])), ("Sent to", where)))
