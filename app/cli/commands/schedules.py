"""`enel schedules`: recurring submissions."""

from typing import Annotated

import typer

from app.cli import body_options as body
from app.cli import console
from app.cli.session import AsJson, session
from app.cli.submission_body import Body, read_document, submission_body
from app.cli.views.schedules import schedule_view, schedules_view
from app.cli.views.submissions import submission_view

group = typer.Typer(help="Recurring submissions.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the schedule.")]


@group.command("list")
def list_schedules(context: typer.Context, as_json: AsJson = False) -> None:
    """List all, by name."""
    with session(context).client() as client:
        console.show(client.schedules()["items"], schedules_view, as_json=as_json)


@group.command()
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one: when it is due next, and what came of the last time."""
    with session(context).client() as client:
        console.show(client.schedule(name), schedule_view, as_json=as_json)


@group.command()
def create(
    context: typer.Context,
    name: Name,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A submission, or a whole schedule, in YAML or JSON.")
    ],
    cron: Annotated[str | None, typer.Option(help="Five fields such as '30 2 * * 1-5', or @daily.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Such as Europe/Berlin; otherwise UTC.")] = None,
    while_one_runs: Annotated[
        str | None, typer.Option(help="What a due time does then: allow, forbid or replace.")
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Fire only once it is resumed.")] = False,
    assignments: body.Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Submit again and again. The same schedule once more changes nothing."""
    document = read_document(file)
    schedule: Body = document if "submission" in document else {"submission": document}
    said = {"cron": cron, "time_zone": time_zone, "concurrency_policy": while_one_runs}
    schedule |= {field: value for field, value in said.items() if value is not None}
    if paused:
        schedule["paused"] = True
    schedule["submission"] = submission_body(None, {}, assignments or (), beneath=schedule["submission"])
    with session(context).client() as client:
        console.show(client.create_schedule({**schedule, "name": name}), schedule_view, as_json=as_json)


@group.command()
def pause(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Submit no more until it is resumed."""
    with session(context).client() as client:
        console.show(client.pause_schedule(name), schedule_view, as_json=as_json)


@group.command()
def resume(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Go on with the next due time."""
    with session(context).client() as client:
        console.show(client.resume_schedule(name), schedule_view, as_json=as_json)


@group.command("run")
def run_now(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Submit at once, paused or not."""
    with session(context).client() as client:
        answer = client.run_schedule(name)
    console.show(answer, lambda found: submission_view(found, False), as_json=as_json)


@group.command()
def delete(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Submit no more; its applications stay, and go on."""
    with session(context).client() as client:
        console.show(client.delete_schedule(name), schedule_view, as_json=as_json)
