"""`enel tokens`: who may do what."""

from typing import Annotated

import typer

from app.cli import console
from app.cli.session import AsJson, session
from app.cli.views.tokens import new_token_view, tokens_view

group = typer.Typer(help="Tokens: who may do what.", no_args_is_help=True)


@group.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of whoever will show it.")],
    role: Annotated[str, typer.Option(help="reader, submitter, operator or admin.")],
    expires_at: Annotated[
        str | None, typer.Option(help="ISO 8601 time from which it is refused; otherwise never.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token; its text is shown this once."""
    with session(context).client() as client:
        created = client.create_token(name, role, expires_at=expires_at)
        console.show(created, new_token_view, as_json=as_json)


@group.command("list")
def list_tokens(context: typer.Context, as_json: AsJson = False) -> None:
    """List tokens, without their texts."""
    with session(context).client() as client:
        console.show(list(client.iterate_tokens()), tokens_view, as_json=as_json)


@group.command()
def revoke(
    context: typer.Context, token_id: Annotated[str, typer.Argument(metavar="ID", help="Of the token.")]
) -> None:
    """Refuse a token from now on."""
    with session(context).client() as client:
        client.revoke_token(token_id)
    console.say(f"Token {token_id} is refused from now on.")
