"""Waiting for what goes on in the service, with progress on stderr."""

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from app.cli import console
from app.cli.units import duration, executors
from app.cli.views.applications import application_view
from app.client.answers import ApplicationDetails, Training
from app.client.client import Client

_PAUSE_SECONDS = 1.0


def wait_for_application(client: Client, execution_id: str, *, as_json: bool) -> ApplicationDetails:
    """Follow an application to its end, and show what came of it.

    Raises:
        KeyboardInterrupt: Somebody would not wait; it goes on.
    """
    shown = console.progress()
    latest: ApplicationDetails | None = None
    try:
        with shown.status(f"{execution_id}: submitted") as status:
            for latest in client.follow_application(execution_id, pause_seconds=_PAUSE_SECONDS):
                status.update(_line(latest))
    except KeyboardInterrupt:
        console.say(f"{execution_id} goes on; `enel applications kill {execution_id}` ends it.")
        raise
    assert latest is not None, "following begins with an answer"
    console.show(latest, application_view, as_json=as_json)
    return latest


def _line(application: ApplicationDetails) -> str:
    jobs = application["jobs"]
    last = f", {len(jobs)} jobs, {executors(jobs[-1]['end_scale_out'])}" if jobs else ""
    target = duration(application["global_specs"]["max_runtime"])
    return f"{application['_id']}: {application['state']}{last} (target {target})"


def wait_for_training(client: Client, training_id: str) -> Training:
    """Follow a training to its end, with a bar of its trials."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    latest: Training | None = None
    try:
        with Progress(*columns, TimeElapsedColumn(), console=console.progress(), transient=True) as bar:
            task = bar.add_task("trials", total=None)
            for latest in client.follow_training(training_id):
                total = latest["trials_total"] or None
                bar.update(task, total=total, completed=latest["trials_done"], description=latest["state"])
    except KeyboardInterrupt:
        console.say(f"{training_id} goes on; `enel trainings cancel {training_id}` stops it.")
        raise
    return latest if latest is not None else client.training(training_id)
