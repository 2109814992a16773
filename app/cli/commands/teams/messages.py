"""`enel programs send` and `enel programs messages`."""

from itertools import islice
from typing import Annotated

import typer

from app.cli import console
from app.cli.commands.teams.sending import KafkaServers, send_request
from app.cli.session import AsJson, Limit, session
from app.cli.views.messages import messages_view


def send(
    workspace: Annotated[str, typer.Argument(metavar="WORKSPACE", help="Whose program is to run.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="The program, of the folder.")] = "train.py",
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARGUMENTS]", help="What it is given; options after --, as -- --epochs 3."),
    ] = None,
    folder: Annotated[str, typer.Option(help="Of the workspace.")] = ".",
    message_id: Annotated[
        str | None, typer.Option("--id", help="Of the request: sent again with the same, it is one run.")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="Otherwise KAFKA_TRAINING_TOPIC.")] = None,
    kafka: KafkaServers = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a run through a broker; returns when the broker has the request."""
    body = {"user": workspace, "file": file, "location": folder, "arguments": arguments or []}
    send_request(body, kafka, topic=topic, message_id=message_id, as_json=as_json)


def messages(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Such as REFUSED.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List requests that came from the broker, newest first."""
    with session(context).client() as client:
        found = client.iterate_messages(limit=min(limit, 200), state=state.upper() if state else None)
        shown = list(islice(found, limit))
    console.show(shown, messages_view, as_json=as_json)
