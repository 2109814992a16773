"""`enel train` and `enel trainings`."""

from itertools import islice
from typing import Annotated

import typer

from app.cli import console
from app.cli.commands.teams.sending import KafkaServers, Via, send_request
from app.cli.commands.waiting import wait_for_training
from app.cli.exits import CliError, ExitCode
from app.cli.session import AsJson, Limit, session
from app.cli.views.trainings import training_view, trainings_view

group = typer.Typer(help="Trainings: list, look, logs, cancel.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="Of the training.")]


def train(
    context: typer.Context,
    algorithm: Annotated[
        str,
        typer.Argument(metavar="ALGORITHM", help="Whose runs are learned from; with --via, a workspace."),
    ],
    program: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE ARGUMENTS]", help="With --via: the program, and what it is given."),
    ] = None,
    experiment: Annotated[str, typer.Option(help="Name to group trainings by.")] = "default",
    trials: Annotated[
        int | None, typer.Option(min=1, help="Hyperparameter trials; otherwise TRAINING_TRIALS.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")] = False,
    via: Annotated[
        Via | None, typer.Option(help="Send a request to run a program, rather than learn from history.")
    ] = None,
    kafka: KafkaServers = None,
    as_json: AsJson = False,
) -> None:
    """Learn an algorithm's model from its history; with --via kafka, have a program of a workspace run."""
    if via is not None:
        file, *arguments = program or ["train.py"]
        send_request({"user": algorithm, "file": file, "arguments": arguments}, kafka, as_json=as_json)
        return
    if program:
        raise CliError(f"{program[0]!r} is one argument too many.", "With --via kafka it names a program.")
    with session(context).client() as client:
        started = client.start_training(algorithm, experiment_name=experiment, trials=trials)
        if not wait:
            console.show(started, training_view, as_json=as_json)
            console.say(f"Follow it: enel trainings logs {started['id']} --follow")
            return
        ended = wait_for_training(client, started["id"])
    console.show(ended, training_view, as_json=as_json)
    if ended["state"] != "SUCCEEDED":
        raise CliError(
            f"Training {ended['id']} ended as {ended['state']}: {ended['detail'] or 'no reason is known'}",
            f"Its log: enel trainings logs {ended['id']}",
            ExitCode.MISSED,
        )


@group.command("list")
def list_trainings(
    context: typer.Context,
    algorithm: Annotated[str | None, typer.Option(help="Name of an algorithm.")] = None,
    state: Annotated[str | None, typer.Option(help="Such as RUNNING.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List trainings, newest first."""
    with session(context).client() as client:
        trainings = client.iterate_trainings(
            limit=min(limit, 200), algorithm_name=algorithm, state=state.upper() if state else None
        )
        found = list(islice(trainings, limit))
    console.show(found, trainings_view, as_json=as_json)


@group.command()
def show(context: typer.Context, training_id: Id, as_json: AsJson = False) -> None:
    """Show one training: its trials, and the version that it made."""
    with session(context).client() as client:
        console.show(client.training(training_id), training_view, as_json=as_json)


@group.command()
def logs(
    context: typer.Context,
    training_id: Id,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it has ended.")] = False,
) -> None:
    """Print the end of what it wrote."""
    with session(context).client() as client:
        if follow:
            for line in client.follow_training_log(training_id):
                console.print_text(line)
            return
        for line in client.training(training_id)["log"]:
            console.print_text(line)


@group.command()
def cancel(context: typer.Context, training_id: Id, as_json: AsJson = False) -> None:
    """Stop a training."""
    with session(context).client() as client:
        console.show(client.cancel_training(training_id), training_view, as_json=as_json)
