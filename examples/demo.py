"""The whole loop on one machine: run, learn, and finish on time (`make demo`).

Starts the service as `python main.py` does, with nothing configured, and talks to it over HTTP as
any client would. Exit code 0 means that the loop really closed: the model recommended a
rescaling, Spark carried it out, and the runtime target was met.
"""

import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.client.answers import ApplicationDetails, Decision, JobSummary  # noqa: E402
from app.client.client import Client  # noqa: E402
from app.client.problems import ProblemError  # noqa: E402
from app.client.process import NotReady, running_service  # noqa: E402
from benchmarks.support.alone import ELSEWHERE  # noqa: E402

OUTPUT = ROOT / "demo-output"
PLAIN_WIDTH = 110

ALGORITHM = "KMeans"
ITERATIONS = 5
PARTITIONS = 12
READ_SECONDS = 1.2
"""Of each task; two executors must differ from four also on a machine that starts them slowly."""
APPLICATION_ARGS = [
    *("--iterations", ITERATIONS),
    *("--partitions", PARTITIONS),
    *("--read-seconds-per-partition", READ_SECONDS),
]
PROFILING_SCALE_OUTS = (2, 6, 3, 4)
STARTING_SCALE_OUT = 2
MAX_SCALE_OUT = 6
TRIALS = 8

console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


class DemoFailed(Exception):
    """Something did not go as the demo promises; the message says what."""


@dataclass
class Run:
    """One finished application, as the service tells it."""

    number: int
    purpose: str
    target_seconds: float | None
    application: ApplicationDetails

    @property
    def id(self) -> str:
        return self.application["_id"]

    @property
    def runtime_seconds(self) -> float:
        seconds = self.application["runtime_seconds"]
        assert seconds is not None, "it has ended"
        return seconds

    @property
    def jobs(self) -> list[JobSummary]:
        return self.application["jobs"]

    @property
    def decisions(self) -> list[Decision]:
        """Those made after a job; the one before the run is left out."""
        return [decision for decision in self.application["decisions"] if decision["job_id"] >= 0]

    def scale_outs(self) -> list[int]:
        """Executors at the start and end of every job, without repetitions."""
        counts = [count for job in self.jobs for count in (job["start_scale_out"], job["end_scale_out"])]
        return [count for index, count in enumerate(counts) if index == 0 or count != counts[index - 1]]


def main() -> int:
    closed = "[bold green]The loop closed:[/] rescaled by the model, carried out by Spark, on time."
    return demonstrate(whole_loop, closed)


def whole_loop() -> tuple[Run, Path]:
    """The steered run, and its picture."""
    with service() as client:
        runs = [profile(client, number, x) for number, x in enumerate(PROFILING_SCALE_OUTS, 1)]
        return steered_after(client, runs, derive_target)


def steered_after(
    client: Client, runs: list[Run], target_of: Callable[[list[Run]], float]
) -> tuple[Run, Path]:
    """What follows once there are runs to learn from. Raises DemoFailed."""
    train(client)
    last = steer(client, len(runs) + 1, target_of(runs))
    report([*runs, last])
    return last, draw(client, last)


def demonstrate(story: Callable[[], tuple[Run, Path]], closed: str) -> int:
    """Tell a story and what came of its last run; the exit code.

    Args:
        closed: To be said where it was rescaled, and met its target.
    """
    # Also where a shell has told background processes to ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    OUTPUT.mkdir(exist_ok=True)
    begun = time.monotonic()
    try:
        last, picture = story()
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left running.")
        return 130
    except (DemoFailed, NotReady, ProblemError) as failure:
        console.print(f"\n[bold red]The demo failed:[/] {failure}")
        console.print(f"The service's log: {(OUTPUT / 'service.log').relative_to(ROOT)}")
        return 1
    console.print(f"Picture of the last run: {picture.relative_to(ROOT)}")
    failures = what_is_missing(last)
    for failure in failures:
        console.print(f"[bold red]The loop did not close:[/] {failure}")
    if not failures:
        console.print(closed)
    console.print(f"{time.monotonic() - begun:.0f} s in all.")
    return 1 if failures else 0


# --- the service --------------------------------------------------------------------------------


@contextmanager
def service() -> Iterator[Client]:
    """`python main.py`, ended with everything it started, also when this process is killed.

    Where a shell names a database or a cluster, runs of a demo are none of theirs.
    """
    # Where a person would look for it, and on what it was told to keep.
    settings = {
        **dict.fromkeys(ELSEWHERE, ""),
        "PORT": os.environ.get("PORT") or "5000",
        "HOST": os.environ.get("HOST") or "127.0.0.1",
        "DATA_DIR": os.environ.get("DATA_DIR") or str(ROOT / ".enel"),
    }
    console.rule("The service")
    with running_service(OUTPUT, **settings) as process, Client(process.url) as client:
        console.print(f"Listens on {process.url}, with an embedded MongoDB and a local Spark.")
        try:
            yield client
        finally:
            # A second Ctrl-C must not interrupt the ending of the service.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)


# --- the steps ----------------------------------------------------------------------------------


def profile(client: Client, number: int, scale_out: int) -> Run:
    """A run at a fixed scale-out, from which the model learns."""
    if number == 1:
        console.rule("Runs to learn from")
    # No target yet; a day is one that no run misses.
    return submit(client, number, "profiling", scale_out, target_seconds=86_400.0, adaptive=False)


def steer(client: Client, number: int, target_seconds: float) -> Run:
    """A run that starts too small for its target, and is rescaled by the service."""
    console.rule("A run with a target")
    console.print(
        f"It starts with {STARTING_SCALE_OUT} executors, with which it would miss its target of "
        f"{target_seconds:.1f} s."
    )
    return submit(client, number, "steered", STARTING_SCALE_OUT, target_seconds, adaptive=True)


def submit(
    client: Client, number: int, purpose: str, scale_out: int, target_seconds: float, adaptive: bool
) -> Run:
    body = {
        "global_specs": {
            "solution_name": "enel",
            "experiment_name": "demo",
            "algorithm_name": ALGORITHM,
            "algorithm_args": APPLICATION_ARGS,
            "data_size_MB": 1,
            "machine_name": "local",
            "environment_name": "demo",
            "min_scale_out": 1,
            "max_scale_out": MAX_SCALE_OUT,
            "max_runtime": target_seconds,
        },
        "worker_specs": {"scale_out": scale_out, "cores": 1, "memory": "512m", "memory_overhead": "384m"},
        "spark_template_values": {"scale_out_tuner.config.is_adaptive": adaptive},
        "initial_scale_out_policy": "requested",
    }
    answer = client.submit(body)
    application = follow(client, answer["db_entry"]["_id"], f"run {number}, {scale_out} executors")
    if application["state"] != "COMPLETED":
        raise DemoFailed(f"run {number} ended as {application['state']}: {application['state_reason']}")
    run = Run(number, purpose, target_seconds if adaptive else None, application)
    path = " → ".join(map(str, run.scale_outs()))
    console.print(f"run {number}: {len(run.jobs)} jobs in {run.runtime_seconds:.1f} s, scale-out {path}")
    return run


def follow(client: Client, execution_id: str, name: str) -> ApplicationDetails:
    """The application once it has ended; tells every job while it runs."""
    shown = 0
    with console.status(f"{name}: starts"):
        for application in client.follow_application(execution_id, pause_seconds=0.5):
            jobs = application["jobs"]
            if len(jobs) != shown:
                shown = len(jobs)
                latest = jobs[-1]
                console.print(
                    f"  {name}: job {latest['job_id']} ended after {latest['runtime_seconds']:.1f} s "
                    f"with {latest['end_scale_out']} executors" + decision_text(application),
                    style="dim",
                )
    return application


def decision_text(application: ApplicationDetails) -> str:
    decisions = [decision for decision in application["decisions"] if decision["job_id"] >= 0]
    if not decisions:
        return ""
    latest = decisions[-1]
    return f"; after job {latest['job_id']} the model recommended {latest['chosen_scale_out']}"


def train(client: Client) -> None:
    console.rule("Pretraining")
    started = client.start_training(ALGORITHM, experiment_name="demo", trials=TRIALS)
    told: tuple[Any, ...] = ()
    for training in client.follow_training(started["training_id"]):
        now = training["state"], training["trials_done"], training["best_loss"]
        if now == told:
            continue
        told = now
        best = "" if training["best_loss"] is None else f", best error {training['best_loss']:.1%}"
        done = f"{training['trials_done']}/{training['trials_total']} trials"
        console.print(f"  {training['state'].lower()}: {done}{best}", style="dim")
    if training["state"] != "SUCCEEDED":
        raise DemoFailed(f"the training ended as {training['state']}: {training['detail']}")
    client.preload("kmeans")
    console.print(
        f"Learned from {training['history_runs']} runs with {training['history_jobs']} jobs; "
        f"the model is saved as {training['result']['artifact_key']} and loaded."
    )


def derive_target(runs: list[Run]) -> float:
    """Between what the starting and the largest scale-out need on this very machine."""
    slow = statistics.median(run.runtime_seconds for run in runs if run.scale_outs()[0] == STARTING_SCALE_OUT)
    fast = min(run.runtime_seconds for run in runs)
    if slow < 1.25 * fast:
        raise DemoFailed(
            f"{STARTING_SCALE_OUT} executors took {slow:.1f} s and the fastest run {fast:.1f} s: "
            "this machine is too busy to show a difference"
        )
    return round(fast + 0.65 * (slow - fast), 1)


# --- what came of it ----------------------------------------------------------------------------


def rescalings(run: Run) -> list[tuple[int, int]]:
    """Pairs of recommended and really reached scale-outs that differ from where the run was."""
    reached = []
    for decision in run.decisions:
        chosen = decision["chosen_scale_out"]
        if chosen == decision["current_scale_out"]:
            continue
        later = [job for job in run.jobs if job["job_id"] > decision["job_id"]]
        if any(chosen in (job["start_scale_out"], job["end_scale_out"]) for job in later):
            reached.append((decision["current_scale_out"], chosen))
    return reached


def what_is_missing(run: Run) -> list[str]:
    missing = []
    if not any(decision["chosen_scale_out"] != decision["current_scale_out"] for decision in run.decisions):
        missing.append("the model recommended no rescaling")
    elif not rescalings(run):
        missing.append("Spark carried out no recommended rescaling")
    assert run.target_seconds is not None, "the steered run has one"
    if run.runtime_seconds > run.target_seconds:
        missing.append(f"{run.runtime_seconds:.1f} s is over the target of {run.target_seconds:.1f} s")
    return missing


def report(runs: list[Run]) -> None:
    console.rule("Result")
    table = Table()
    for column in (
        "run",
        "purpose",
        "scale-out over time",
        "runtime",
        "target",
        "",
        "recommendation latency",
    ):
        table.add_column(column, justify="right" if column in ("run", "runtime", "target") else "left")
    for run in runs:
        met = (
            ""
            if run.target_seconds is None
            else "met"
            if run.runtime_seconds <= run.target_seconds
            else "missed"
        )
        table.add_row(
            str(run.number),
            run.purpose,
            " → ".join(map(str, run.scale_outs())),
            f"{run.runtime_seconds:.1f} s",
            "" if run.target_seconds is None else f"{run.target_seconds:.1f} s",
            met,
            latency(run),
        )
    console.print(table)


def latency(run: Run) -> str:
    """Median and largest time from a job's report to the answer, and what it was spent on."""
    if not run.decisions:
        return ""
    totals = [decision["total_seconds"] for decision in run.decisions]
    tuning = statistics.median(decision["fine_tune_seconds"] for decision in run.decisions)
    predicting = statistics.median(decision["predict_seconds"] for decision in run.decisions)
    total = statistics.median(totals)
    return (
        f"{1000 * total:.0f} ms median, {1000 * max(totals):.0f} ms max\n"
        f"(fine-tuning {1000 * tuning:.0f}, prediction {1000 * predicting:.0f}, "
        f"rest {1000 * (total - tuning - predicting):.0f})"
    )


def draw(client: Client, run: Run) -> Path:
    """The service's own picture: executors over time, and predicted against real remaining runtime."""
    path = OUTPUT / "last-run.svg"
    path.write_text(client.picture(run.id), encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
