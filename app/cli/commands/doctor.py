"""`enel doctor`: what would keep the service from its work."""

from dataclasses import asdict
from typing import Annotated

import typer

from app.cli import console
from app.cli.exits import ExitCode
from app.cli.profiles import LOOPBACK
from app.cli.session import AsJson, session
from app.cli.views.findings import findings_view


def doctor(
    context: typer.Context,
    least_free_gb: Annotated[
        float, typer.Option("--least-free-gb", min=0, help="Gigabytes that should be free at DATA_DIR.")
    ] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Check what the settings name, without the service: what is wrong, and what mends it.

    Run it where the service runs, with its environment. Exits with 5 if something is wrong.
    """
    # The service's own packages take a moment; other commands do without.
    from app.doctor.examination import examine

    where = session(context).connection()
    url = "" if where.url == LOOPBACK else where.url  # by default the settings say where it listens
    with console.progress().status("Looking at everything that the settings name"):
        findings = [asdict(each) for each in examine(url, where.token, int(least_free_gb * 1e9))]
    console.show(findings, findings_view, as_json=as_json)
    if any(each["verdict"] == "wrong" for each in findings):
        raise typer.Exit(ExitCode.UNSOUND)
