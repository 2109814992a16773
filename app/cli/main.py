"""`enel`: all commands, and how each of them ends."""

import sys
from collections.abc import Sequence
from typing import Annotated

import httpx
import typer
from typer.exceptions import TyperException

from app.cli import console
from app.cli.commands import (
    applications,
    cluster,
    doctor,
    import_logs,
    models,
    schedules,
    serve,
    submit,
    tokens,
    training,
    what_if,
)
from app.cli.commands.teams import environments, messages, pipelines, programs, serving, workspaces
from app.cli.exits import CliError, ExitCode, of_problem, of_transport
from app.cli.session import Session
from app.client.problems import ProblemError
from app.cluster.failure import CannotBeDone
from app.cluster.present import ClusterUnreachable
from app.version import VERSION

app = typer.Typer(
    name="enel",
    help="Runs recurring Spark applications so that they meet their runtime targets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("submit")(submit.submit)
app.command("what-if")(what_if.what_if)
app.add_typer(applications.group, name="applications")
app.add_typer(schedules.group, name="schedules")
app.command("import-event-logs")(import_logs.import_event_logs)
app.command("train")(training.train)
app.add_typer(training.group, name="trainings")
app.add_typer(models.group, name="models")
app.add_typer(workspaces.group, name="workspaces")
programs.group.command("send")(messages.send)
programs.group.command("messages")(messages.messages)
app.add_typer(programs.group, name="programs")
app.add_typer(pipelines.group, name="pipelines")
app.add_typer(environments.group, name="environments")
app.add_typer(serving.group, name="serving")
app.add_typer(tokens.group, name="tokens")
app.command("doctor")(doctor.doctor)
app.add_typer(cluster.group, name="cluster")


def _version(is_asked: bool) -> None:
    if is_asked:
        console.print_text(VERSION)
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option(help="Address of the service; otherwise ENEL_URL, or a profile.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Which part of ~/.config/enel/config.toml to use.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None:
    context.obj = Session(url, profile)


def run(arguments: Sequence[str]) -> int:
    """Carry a command out; returns the exit code, and prints errors as one or two lines."""
    try:
        code = app(list(arguments), prog_name="enel", standalone_mode=False)
        return code if isinstance(code, int) else ExitCode.OK
    except CliError as error:
        failure = error
    except ProblemError as problem:
        failure = of_problem(problem)
    except httpx.TransportError as error:
        failure = of_transport(error, _asked(error))
    except CannotBeDone as error:
        failure = CliError(str(error), error.advice, ExitCode.REFUSED)
    except ClusterUnreachable as error:
        advice = (
            "`kubectl cluster-info` should answer; `minikube start` or `kind create cluster` makes a cluster."
        )
        failure = CliError(str(error), advice, ExitCode.UNREACHABLE)
    except TyperException as error:
        failure = CliError(error.format_message(), f"`{_command(error)} --help` lists what there is.")
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    console.error(failure.message, failure.advice)
    return failure.code


def _command(error: TyperException) -> str:
    """The command that was called wrongly."""
    return str(getattr(getattr(error, "ctx", None), "command_path", "enel"))


def _asked(error: httpx.TransportError) -> str:
    try:
        url = error.request.url
    except RuntimeError:  # it failed before there was a request
        return "that address"
    return f"{url.scheme}://{url.netloc.decode()}"


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
