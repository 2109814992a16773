"""Waiting for what goes on in the service, with progress on stderr, over restarts of the service."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from app.cli import console
from app.cli.exits import CLIENT_ERRORS, CliError, ExitCode, of_client
from app.cli.units import duration, executors
from app.cli.views.applications import application_view
from app.client.answers import (
    FINAL_APPLICATION_STATES,
    FINAL_TRAINING_STATES,
    ApplicationDetails,
    PipelineRun,
    ProgramRunDetails,
    Training,
)
from app.client.client import Client
from app.client.retries import Retries

_PAUSE_SECONDS = 1.0

_PATIENCE_SECONDS = 120.0
"""Without an answer of the service: time for a restart."""

_ON_LOCAL_SPARK = " (on the local Spark it ends with its service)"

_STEPS_ON_LOCAL_SPARK = " (a step on the local Spark ends with its service)"

_TAIL_LINES = 500
"""Of a log, that are read again after the service did not answer."""

_MANY = 10_000
"""Attempts: the time decides."""


def wait_for_application(
    client: Client, execution_id: str, *, as_json: bool, patience_seconds: float = _PATIENCE_SECONDS
) -> ApplicationDetails:
    """Follow an application to its end, and show what came of it.

    Raises:
        CliError: The service answers no more.
        KeyboardInterrupt: Somebody would not wait; it goes on.
    """
    look = f"enel applications show {execution_id}"
    console.say(f"Waiting for {execution_id}. Follow it elsewhere: {look}")
    shown = console.progress()
    outage = _Outage(shown, patience_seconds)
    latest: ApplicationDetails | None = None
    patient = client.with_retries(outage.retries())
    status = shown.status(f"{execution_id}: submitted")
    stop = f"enel applications kill {execution_id}"
    with _going_on(client, execution_id, look, stop=stop, but=_ON_LOCAL_SPARK), status:
        for latest in patient.follow_application(execution_id, pause_seconds=_PAUSE_SECONDS):
            outage.is_told = False
            status.update(_line(latest))
    assert latest is not None, "following begins with an answer"
    console.show(latest, application_view, as_json=as_json)
    return latest


def _line(application: ApplicationDetails) -> str:
    jobs = application["jobs"]
    last = f", {len(jobs)} jobs, {executors(jobs[-1]['end_scale_out'])}" if jobs else ""
    target = duration(application["global_specs"]["max_runtime"])
    return f"{application['_id']}: {application['state']}{last} (target {target})"


def wait_for_training(
    client: Client, training_id: str, *, patience_seconds: float = _PATIENCE_SECONDS
) -> Training:
    """Follow a training to its end, with a bar of its trials.

    Raises:
        CliError: The service answers no more.
        KeyboardInterrupt: Somebody would not wait; it goes on.
    """
    look = f"enel trainings show {training_id}"
    console.say(f"Waiting for training {training_id}. Follow it elsewhere: {look}")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, TimeElapsedColumn(), console=console.progress(), transient=True)
    outage = _Outage(bar.console, patience_seconds)
    patient = client.with_retries(outage.retries())
    latest: Training | None = None
    with _going_on(client, training_id, look, stop=f"enel trainings cancel {training_id}"), bar:
        task = bar.add_task("trials", total=None)
        for latest in _looks_at_training(patient, training_id):
            outage.is_told = False
            total = latest["trials_total"] or None
            bar.update(task, total=total, completed=latest["trials_done"], description=latest["state"])
    assert latest is not None, "following begins with an answer"
    return latest


def _looks_at_training(client: Client, training_id: str) -> Iterator[Training]:
    """Ask again and again, until it has ended: a stream of its events would end with the service."""
    while True:
        training = client.training(training_id)
        yield training
        if training["state"] in FINAL_TRAINING_STATES:
            return
        time.sleep(_PAUSE_SECONDS)


def wait_for_program(
    client: Client, run_id: str, *, as_json: bool, patience_seconds: float = _PATIENCE_SECONDS
) -> ProgramRunDetails:
    """Print the log of a program's run until it has ended, and it is known whether it became a version.

    Args:
        as_json: Whether stdout is for a program, so that the log goes to stderr.
    Raises:
        CliError: The service answers no more.
        KeyboardInterrupt: Somebody would not wait; it goes on.
    """
    look = f"enel programs show {run_id}"
    console.say(f"Waiting for {run_id}. Follow it elsewhere: {look}")
    shown = console.progress()
    outage = _Outage(shown, patience_seconds)
    patient = client.with_retries(outage.retries())
    with _going_on(client, run_id, look, stop=f"enel programs cancel {run_id}", but=_ON_LOCAL_SPARK):
        for line in _log_of(client, patient, run_id, outage):
            if as_json:
                shown.print(line, markup=False, soft_wrap=True)
            else:
                console.print_text(line)
        while True:
            run = patient.program_run(run_id)
            outage.is_told = False
            if _is_settled(run):
                return run
            time.sleep(_PAUSE_SECONDS)


def _log_of(client: Client, patient: Client, run_id: str, outage: "_Outage") -> Iterator[str]:
    """Lines of a run's log until it has ended, each once, also over a restart of the service."""
    known: deque[str] = deque(maxlen=_TAIL_LINES)
    was_final = False
    while True:
        unseen, is_whole = Unseen(known), False
        try:
            for line in chain(client.follow_log(run_id, tail_lines=_TAIL_LINES), [None]):
                for each in unseen.rest() if line is None else unseen.of(line):
                    known.append(each)
                    yield each
            is_whole = True
        except CLIENT_ERRORS as error:
            if of_client(error, "").code is not ExitCode.UNREACHABLE:
                raise
        is_final = patient.program_run(run_id)["state"] in FINAL_APPLICATION_STATES
        outage.is_told = False
        if is_final and (is_whole or was_final):
            return
        was_final = is_final
        time.sleep(_PAUSE_SECONDS)


class Unseen:
    """Which lines of a log that is read again, from a place that nobody knows, have not been there before.

    Args:
        known: The last lines that were.
    """

    def __init__(self, known: Sequence[str]) -> None:
        self._known = list(known)
        self._places = set(range(len(self._known)))
        """Of the known lines, where it may be."""
        self._held: list[str] = []
        self._known_of_held = 0

    def of(self, line: str) -> list[str]:
        """What is new by this line: itself, nothing, or also lines before it that only looked known."""
        if not self._places:
            return [line]
        self._held.append(line)
        self._places = {place + 1 for place in self._places if self._known[place] == line}
        if len(self._known) in self._places:
            # It may have begun further up, where lines come again.
            self._places.discard(len(self._known))
            self._known_of_held = len(self._held)
        return [] if self._places else self.rest()

    def rest(self) -> list[str]:
        """What is new of lines that were held back, at the end of the log."""
        new, self._held = self._held[self._known_of_held :], []
        return new


def _is_settled(run: ProgramRunDetails) -> bool:
    if run["state"] not in FINAL_APPLICATION_STATES:
        return False
    becomes_version = run["state"] == "COMPLETED" and run["program"]["output"] == "version"
    return not becomes_version or bool(run["version"] or run["publishing_detail"])


def wait_for_pipeline(
    client: Client, run_id: str, *, patience_seconds: float = _PATIENCE_SECONDS
) -> PipelineRun:
    """Follow a pipeline to its end.

    Raises:
        CliError: The service answers no more.
        KeyboardInterrupt: Somebody would not wait; it goes on.
    """
    look = f"enel pipelines show {run_id}"
    console.say(f"Waiting for {run_id}. Follow it elsewhere: {look}")
    shown = console.progress()
    outage = _Outage(shown, patience_seconds)
    patient = client.with_retries(outage.retries())
    status = shown.status(f"{run_id}: started")
    stop = f"enel pipelines cancel {run_id}"
    with _going_on(client, run_id, look, stop=stop, but=_STEPS_ON_LOCAL_SPARK), status:
        while True:
            latest = patient.pipeline_run(run_id)
            outage.is_told = False
            if latest["state"] != "RUNNING":
                return latest
            running = [each["name"] for each in latest["steps"] if each["state"] == "RUNNING"]
            status.update(f"{run_id}: {', '.join(running) or latest['state']}")
            time.sleep(_PAUSE_SECONDS)


class _Outage:
    """Tells once that the service does not answer, until somebody resets `is_told`."""

    def __init__(self, shown: Console, patience_seconds: float) -> None:
        self._shown, self._patience_seconds = shown, patience_seconds
        self.is_told = False

    def retries(self) -> Retries:
        return Retries(_MANY, self._patience_seconds, before_pause=self._tell)

    def _tell(self) -> None:
        if not self.is_told:
            limit = duration(self._patience_seconds)
            self._shown.print(f"The service does not answer; trying again for up to {limit}.", markup=False)
        self.is_told = True


@contextmanager
def _going_on(client: Client, what: str, look: str, *, stop: str, but: str = "") -> Iterator[None]:
    """Say that it goes on, and how to find it again, where waiting ends before it does.

    Args:
        but: Which ones end with the service.
    """
    try:
        yield
    except KeyboardInterrupt:
        console.say(f"{what} goes on; `{stop}` ends it.")
        raise
    except CLIENT_ERRORS as error:
        cause = of_client(error, str(client.http.base_url).rstrip("/"))
        if cause.code is not ExitCode.UNREACHABLE:
            raise
        message = f"{cause.message.rstrip('.')}. {what} goes on without this command{but}."
        raise CliError(message, f"Once the service answers again: {look}", cause.code) from error
