"""Digits, from images to versions that serve or do not, on a real HDFS (`make demo-digits`).

Starts HDFS and the service, and talks to it over HTTP as any client would. Exit code 0 means: images became
partitions, a training that was killed went on from its checkpoint, its version serves, and a worse one that
came afterwards is kept and does not; pictures were classified on the page, what people said of them was
learned from, and the version before came back.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from demo_questions import (  # noqa: E402
    PICTURES,
    classify_on_the_page,
    let_serve,
    say_what_they_show,
)

from app.client.client import Client  # noqa: E402
from app.client.problems import ProblemError  # noqa: E402
from app.client.process import NotReady, running_service  # noqa: E402
from benchmarks.support.alone import ELSEWHERE  # noqa: E402
from benchmarks.support.hdfs_cluster import hdfs_cluster  # noqa: E402
from benchmarks.support.hdfs_jars import JarsMissing  # noqa: E402

Json = dict[str, Any]

OUTPUT = ROOT / "demo-output" / "digits"
PLAIN_WIDTH = 110
EPOCHS = 10
KILLED_AFTER_EPOCH = 3
WORSE = {"epochs": 1, "learning_rate": 0.0005}
_PAUSE_SECONDS = 0.5
_PATIENCE_SECONDS = 300.0
"""For one pipeline."""

console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


class DemoFailed(Exception):
    """Something did not go as the demo promises; the message says what."""


@dataclass
class Training:
    """One run of the pipeline, as the service tells it."""

    purpose: str
    pipeline: Json
    seconds: float
    runs: dict[str, Json] = field(default_factory=dict)
    """Runs of programs by the step's name."""
    results: dict[str, Json] = field(default_factory=dict)
    """What each has left as its result."""

    @property
    def version(self) -> int | None:
        return self.runs["training"]["version"] if "training" in self.runs else None


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    try:
        with hdfs() as endpoint, service(endpoint) as client:
            trainings = [kill_once(client), resume(client), worsen(client)]
            model = trainings[1].runs["training"]["model"]
            served = client.model(model)["aliases"]["champion"]["version"]
            learned = ask_and_learn(client, model, served)
            report(client, [*trainings, learned], served)
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left running.")
        return 130
    except (DemoFailed, NotReady, ProblemError, RuntimeError) as failure:
        console.print(f"\n[bold red]The demo failed:[/] {failure}")
        console.print(f"The service's log: {(OUTPUT / 'service.log').relative_to(ROOT)}")
        return 1
    failures = [*what_is_missing(trainings, served), *what_was_not_learned(learned)]
    for each in failures:
        console.print(f"[bold red]Not as promised:[/] {each}")
    if not failures:
        console.print(
            "[bold green]As promised:[/] resumed after a kill, the better version serves, pictures are read,"
            " feedback is learned from, and the version before serves again."
        )
    console.print(f"{time.monotonic() - begun:.0f} s in all.")
    return 1 if failures else 0


# --- what it runs on ------------------------------------------------------------------------------


@contextmanager
def hdfs() -> Iterator[str]:
    """The WebHDFS address of an HDFS of its own; empty where no Hadoop can be had."""
    console.rule("HDFS")
    folder = Path(tempfile.mkdtemp(prefix="hdfs-", dir=OUTPUT))
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            try:
                cluster = runner.run(stack.enter_async_context(hdfs_cluster(folder)))
                endpoint = cluster.endpoint
                console.print(f"A NameNode and a DataNode; WebHDFS answers at {endpoint}.")
            except JarsMissing as error:
                endpoint = ""
                console.print(f"No Hadoop here ({error}): partitions and checkpoints go to folders.")
            yield endpoint
        finally:
            ignore_signals()
            runner.run(stack.aclose())
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def service(endpoint: str) -> Iterator[Client]:
    """`python main.py` with nothing but that HDFS, and stored data of its own."""
    console.rule("The service")
    data = Path(tempfile.mkdtemp(prefix="data-", dir=OUTPUT))
    settings = dict.fromkeys(ELSEWHERE, "")
    settings |= {"DATA_DIR": str(data), "HDFS_ENDPOINT": endpoint, "LOCAL_SPARK_CORES": "2"}
    settings |= {"PORT": os.environ["PORT"]} if os.environ.get("PORT") else {}
    try:
        with running_service(OUTPUT, **settings) as process, Client(process.url) as client:
            console.print(f"Listens on {process.url}.")
            try:
                yield client
            finally:
                ignore_signals()
    finally:
        shutil.rmtree(data, ignore_errors=True)


def ignore_signals() -> None:
    """A second Ctrl-C must not interrupt the ending of what runs."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


# --- the steps ------------------------------------------------------------------------------------


def kill_once(client: Client) -> Training:
    """A training that is killed when some checkpoints are there."""
    console.rule("A training, killed in the middle")

    def is_far_enough(run: Json) -> bool:
        return len(run["curve"]) >= KILLED_AFTER_EPOCH

    training = train(client, "killed", kill_when=is_far_enough, epochs=EPOCHS)
    if training.pipeline["state"] == "SUCCEEDED":
        raise DemoFailed("the training was through before it could be killed")
    return training


def resume(client: Client) -> Training:
    """The same again."""
    console.rule("The same again")
    return succeeded(train(client, "resumed", epochs=EPOCHS))


def worsen(client: Client) -> Training:
    """One that learns too little."""
    console.rule("A worse one")
    return succeeded(train(client, "worse", **WORSE))


def ask_and_learn(client: Client, model: str, served: int) -> Training:
    """Pictures on the page, feedback, a training that is given it, the new version, and the one before."""
    console.rule("Pictures, and what people say of them")
    answers = classify_on_the_page(console, str(client.http.base_url).rstrip("/"), client, model)
    say_what_they_show(console, client, model, answers)
    console.rule("A training that learns from it")
    learned = succeeded(train(client, "with feedback", epochs=EPOCHS))
    console.rule("The new version, and back")
    assert learned.version is not None, "it succeeded"
    let_serve(console, client, model, learned.version)
    let_serve(console, client, model, served)
    return learned


def what_was_not_learned(learned: Training) -> list[str]:
    said = learned.results["training"]["images_of_feedback"]
    return [] if said == PICTURES else [f"{said} of {PICTURES} pictures were learned from"]


def succeeded(training: Training) -> Training:
    """The same. Raises DemoFailed where it has not ended well."""
    if training.pipeline["state"] != "SUCCEEDED":
        reasons = [step["reason"] for step in training.pipeline["steps"] if step["reason"]]
        raise DemoFailed(f"the training ended as {training.pipeline['state']}: {' '.join(reasons)}")
    return training


def train(
    client: Client, purpose: str, kill_when: Callable[[Json], bool] | None = None, **said: Any
) -> Training:
    """Start the pipeline and follow it to its end."""
    begun = time.monotonic()
    pipeline: Any = client.train_digits("mnist.npz", **said)
    told: set[str] = set()
    with console.status(f"{purpose}: starts"):
        while pipeline["state"] == "RUNNING":
            if time.monotonic() - begun > _PATIENCE_SECONDS:
                raise DemoFailed(f"the pipeline has not ended within {_PATIENCE_SECONDS:g} s")
            time.sleep(_PAUSE_SECONDS)
            pipeline = client.pipeline_run(pipeline["id"])
            for step in pipeline["steps"]:
                run = tell(client, purpose, step, told)
                if run and kill_when and step["name"] == "training" and kill_when(run):
                    console.print(f"  {purpose}: killed after {len(run['curve'])} epochs", style="bold")
                    client.cancel_pipeline_run(pipeline["id"])
                    kill_when = None
    training = Training(purpose, pipeline, time.monotonic() - begun)
    collect(client, training)
    return training


def tell(client: Client, purpose: str, step: Json, told: set[str]) -> Json | None:
    """Print what is new of a step; returns its run."""
    if step["application_execution_id"] is None:
        return None
    run: Any = client.program_run(step["application_execution_id"])
    text = f"{step['name']} {step['state'].lower()}: {run['message']}"
    if run["message"] and step["state"] == "RUNNING" and text not in told:
        told.add(text)
        console.print(f"  {purpose}: {text}", style="dim")
    return run


def collect(client: Client, training: Training) -> None:
    """What became of the steps, once the version is made."""
    for step in training.pipeline["steps"]:
        if step["application_execution_id"] is None:
            continue
        run: Any = client.program_run(step["application_execution_id"])
        deadline = time.monotonic() + 60
        while is_unsettled(run) and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
            run = client.program_run(run["id"])
        training.runs[step["name"]] = run
        if step["state"] in ("SUCCEEDED", "REUSED"):
            training.results[step["name"]] = client.program_result(run["id"])


def is_unsettled(run: Json) -> bool:
    """Whether a version is still to be made of what it has left."""
    makes_version = run["program"]["output"] == "version" and run["state"] == "COMPLETED"
    return makes_version and not (run["version"] or run["publishing_detail"])


# --- what came of it ------------------------------------------------------------------------------


def what_is_missing(trainings: list[Training], served: int) -> list[str]:
    killed, resumed, worse = trainings
    missing: list[str] = []
    steps = {step["name"]: step["state"] for step in resumed.pipeline["steps"]}
    if steps["processing"] != "REUSED":
        missing.append("images were processed again, though nothing had changed")
    if killed.version is not None:
        missing.append("what a killed training left became a version")
    epoch = resumed.results["training"]["resumed_from_epoch"]
    if not epoch or epoch < KILLED_AFTER_EPOCH - 1:
        missing.append(f"the training went on from epoch {epoch}, and not from its checkpoint")
    if not resumed.results["training"]["accuracy"] > 0.9:
        missing.append(f"accuracy is {resumed.results['training']['accuracy']:.2%}")
    if not worse.results["training"]["accuracy"] < resumed.results["training"]["accuracy"]:
        missing.append("the worse training is no worse")
    if resumed.version is None or worse.version is None or served != resumed.version:
        missing.append(f"version {served} serves, of {resumed.version} and {worse.version}")
    return missing


def report(client: Client, trainings: list[Training], served: int) -> None:
    console.rule("Result")
    table = Table()
    for column in ("training", "step", "state", "seconds", "partitions", "accuracy", "version", "serves"):
        right = column in ("seconds", "partitions", "accuracy", "version")
        table.add_column(column, justify="right" if right else "left")
    for training in trainings:
        for step in training.pipeline["steps"]:
            table.add_row(*row(training, step, served), end_section=step["name"] == "training")
    console.print(table)
    model = trainings[-1].runs["training"]["model"]
    for version in client.iterate_versions(model):
        promotion = version["promotion"]
        console.print(f"version {version['version']}: {promotion['reason']}" if promotion else "")


def row(training: Training, step: Json, served: int) -> list[str]:
    result, run = training.results.get(step["name"], {}), training.runs.get(step["name"])
    is_training = step["name"] == "training"
    purpose = training.purpose if not is_training else ""
    state = step["state"].lower()
    if epoch := result.get("resumed_from_epoch"):
        state += f", from epoch {epoch}"
    seconds = run["runtime_seconds"] if run and step["state"] != "REUSED" else None
    partitions = result.get("partitions") or "+".join(
        str(len(result[name]["partitions"])) for name in ("train", "test") if name in result
    )
    version = training.version if is_training else None
    return [
        purpose,
        step["name"],
        state,
        "" if seconds is None else f"{seconds:.1f}",
        str(partitions),
        f"{result['accuracy']:.2%}" if "accuracy" in result else "",
        "" if version is None else str(version),
        "" if version is None else "yes" if version == served else "no",
    ]


if __name__ == "__main__":
    sys.exit(main())
