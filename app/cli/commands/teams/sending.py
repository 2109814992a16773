"""Sending a request to a broker, as several commands do."""

import asyncio
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app.cli import console
from app.cli.exits import CliError, ExitCode
from app.cli.kafka import NotSent, SentTo
from app.cli.views.messages import sent_view
from common.errors import StartError
from common.settings.messages import MessageSettings


class Via(StrEnum):
    """How a request goes to the service."""

    KAFKA = "kafka"


KafkaServers = Annotated[
    str | None,
    typer.Option(
        "--kafka",
        metavar="HOST:PORT",
        help="Servers of the broker; otherwise KAFKA_ENDPOINT. Other KAFKA_ settings count, too.",
    ),
]


def send_request(
    body: Mapping[str, Any],
    servers: str | None,
    *,
    topic: str | None = None,
    message_id: str | None = None,
    as_json: bool,
) -> None:
    """Send it, wait until the broker has it, and print the message's id.

    Raises:
        CliError: No broker is named, or it does not take it.
    """
    settings = _settings(servers, topic)
    found = {"id": message_id or str(uuid.uuid4()), **body}
    try:
        sent = asyncio.run(SentTo(settings).send(found))
    except StartError as error:
        raise CliError(str(error)) from error
    except NotSent as error:
        advice = f"Sent again with --id {found['id']}, it is one run in any case."
        raise CliError(str(error), advice, ExitCode.UNREACHABLE) from error
    console.show({"id": found["id"], **sent}, sent_view, as_json=as_json)


def _settings(servers: str | None, topic: str | None) -> MessageSettings:
    given: dict[str, Any] = {"kafka_endpoint": servers, "kafka_training_topic": topic}
    try:
        settings = MessageSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        setting = str(first["loc"][0]).upper() if first["loc"] else "settings"
        raise CliError(f"{setting}: {first['msg'].removeprefix('Value error, ')}") from error
    if not settings.kafka_endpoint:
        raise CliError("No broker is named.", "Name one: --kafka HOST:PORT, or KAFKA_ENDPOINT.")
    return settings
