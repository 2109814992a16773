"""`enel import-event-logs`: runs of the past, from the logs that Spark has written of them."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from app.cli import console
from app.cli.exits import CliError, ExitCode
from app.cli.session import AsJson, session
from app.cli.views.imports import imports_view
from app.client.client import Client
from app.client.problems import ProblemError
from common.errors import InvalidRequest, ServiceError

Json = dict[str, Any]


def import_event_logs(
    context: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="A log, a rolling log's folder, or a folder with many: of this machine, or hdfs://, s3a://.",
        ),
    ],
    algorithm: Annotated[
        str | None, typer.Option(help="Whose runs these are; otherwise each application's own name.")
    ] = None,
    max_runtime: Annotated[
        float | None, typer.Option(min=0.001, help="Their target in seconds; otherwise what each took.")
    ] = None,
    data_size_mb: Annotated[
        int | None, typer.Option("--data-size-MB", min=1, help="Otherwise what the largest job has read.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML that says this and more by application.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read them, and store nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Learn from runs of the past: read Spark's event logs, and store what the plugin would have reported."""
    # What reads logs is heavy, and no other command needs it.
    from training.event_logs.specs import Mapping, Said

    try:
        said = Mapping.read(mapping) if mapping is not None else Mapping()
        given = {"algorithm_name": algorithm, "max_runtime": max_runtime, "data_size_MB": data_size_mb}
        own = {name: value for name, value in given.items() if value is not None}
        if own:
            said.applications = [each.model_copy(update=own) for each in (*said.applications, Said())]
        with session(context).client() as client, _progress() as progress:
            rows = list(_rows(paths, said, None if dry_run else client, progress))
    except InvalidRequest as error:
        raise CliError(str(error)) from error
    outcomes = Counter(row["outcome"] for row in rows)
    console.show({"logs": rows, "summary": dict(outcomes)}, imports_view, as_json=as_json)
    if not rows:
        raise CliError("There are no event logs.", "Spark writes them where spark.eventLog.enabled is set.")
    if not any(row["application_id"] for row in rows):
        raise CliError("None of them can be read.", code=ExitCode.MISSED)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=console.progress(), transient=True)


def _rows(paths: list[str], mapping: Any, client: Client | None, progress: Progress) -> Iterator[Json]:
    from training.event_logs.files import files_of
    from training.event_logs.logs import logs_below
    from training.event_logs.recorded import read_log

    for path in paths:
        files = files_of(path)
        for log in logs_below(files, path):
            row: Json = {
                "log": log.path,
                "application_id": None,
                "outcome": "skipped",
                "jobs": 0,
            }
            task = progress.add_task(log.path.rpartition("/")[2][-60:], total=None)
            try:
                attempt = read_log(files, log, lambda size, task=task: progress.advance(task, size))  # type: ignore[misc]
                try:
                    row |= _stored(attempt, mapping, client)
                finally:
                    attempt.close()
            except (ServiceError, ProblemError) as error:
                row |= {"reason": str(error)}
            progress.remove_task(task)
            yield row


def _stored(attempt: Any, mapping: Any, client: Client | None) -> Json:
    from training.event_logs.pieces import pieces_of

    application_id = attempt.application_id
    found: Json = {
        "application_id": application_id,
        "name": attempt.start["application_signature"],
        "spark_version": attempt.versions.get("spark_version"),
        "jobs": attempt.jobs,
        "reason": attempt.why_incomplete,
        "skipped_events": sum(attempt.skipped.values()),
        "damaged_lines": attempt.damaged_lines,
        "read_bytes": attempt.read_bytes,
    }
    answer: Any = {}
    is_new = False
    for piece in pieces_of(attempt, mapping.of(str(found["name"] or ""))):
        if client is not None:
            answer = client.import_run(piece)
            is_new = is_new or answer["is_new"] or answer["is_changed"]
    if client is None:
        return {**found, "outcome": "incomplete" if attempt.why_incomplete else "readable"}
    if answer["reported_by_plugin"]:
        outcome, reason = "known", "its own driver has reported it"
    elif attempt.why_incomplete:
        outcome, reason = "incomplete", attempt.why_incomplete
    else:
        outcome, reason = ("imported" if is_new else "unchanged"), ""
    return {
        **found,
        "outcome": outcome,
        "reason": reason,
        "application_execution_id": answer["application_execution_id"],
        "state": answer["state"],
    }
