"""How long a recommendation takes, and whether the service still answers others meanwhile.

    python benchmarks/recommendation_latency.py [--runs 30] [--jobs 18] [--candidates 33]

Starts a service on a database of its own, gives it a synthetic history (stages follow Amdahl's law
with 5% noise), trains a model, and reports the jobs of new runs one after the other. Latency is
measured by the client; what it was spent on is what the service stored with each decision. While
that goes on, another client asks `/healthz` every 20 ms; the same is measured before, when the
service is idle, so that the two can be compared as a ratio.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from pymongo import AsyncMongoClient
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.client.process import service_process  # noqa: E402
from benchmarks.reporting import open_console  # noqa: E402
from benchmarks.support.alone import ALONE  # noqa: E402
from common.executions.documents import ApplicationExecution, ApplicationState  # noqa: E402
from common.executions.repository import ExecutionRepository  # noqa: E402
from common.mongo.document import utc_now  # noqa: E402
from common.mongo.embedded import embedded_mongod  # noqa: E402
from common.wire.events import UpdateInformation  # noqa: E402
from training.runs.documents import UNFINISHED  # noqa: E402

DATABASE = "benchmark"
ALGORITHM = "Synthetic"
STAGES_PER_JOB = 2
START_MS = 1_700_000_000_000
console = open_console()


def new_execution(candidates: int, number: int) -> ApplicationExecution:
    return ApplicationExecution(
        id=f"benchmark-{number}",
        global_specs={
            "experiment_name": "benchmark",
            "algorithm_name": ALGORITHM,
            "data_size_MB": 1000,
            "min_scale_out": 4,
            "max_scale_out": 3 + candidates,
            "max_runtime": 400.0,
        },
        worker_specs={"scale_out": 4},
    )


def events(
    execution_id: str, jobs: int, scale_out: int, generator: np.random.Generator
) -> list[dict[str, Any]]:
    """One run: its start and the end of each of its jobs."""
    common = {"application_execution_id": execution_id, "application_id": f"spark-{execution_id}"}
    start = {"application_id": common["application_id"], "start_time": START_MS, "start_scale_out": scale_out}
    bodies: list[dict[str, Any]] = [{**common, "update_event": "APPLICATION_START", "updates": start}]
    now = START_MS + 5_000
    for job_id in range(jobs):
        begun, stages = now, {}
        for index in range(STAGES_PER_JOB):
            seconds = (2.0 + job_id % 5) * (0.2 + 8.0 / scale_out) * float(generator.lognormal(0.0, 0.05))
            stage_id = STAGES_PER_JOB * job_id + index
            stages[str(stage_id)] = {
                "stage_id": stage_id,
                "stage_name": f"{'map' if index == 0 else 'collect'} at job.py:{job_id % 5}",
                "num_tasks": 64,
                "parent_stage_ids": [stage_id - 1] if index else [],
                "start_time": now,
                "end_time": now + int(1000 * seconds),
                "start_scale_out": scale_out,
                "end_scale_out": scale_out,
                "rescaling_time_ratio": 0.0,
                "metrics": {"cpu_utilization": 0.7, "gc_time_ratio": 0.02, "shuffle_rw_ratio": 0.5},
            }
            now += int(1000 * seconds)
        updates = {
            "job_id": job_id,
            "start_time": begun,
            "end_time": now,
            "start_scale_out": scale_out,
            "end_scale_out": scale_out,
            "rescaling_time_ratio": 0.0,
            "stages": stages,
        }
        bodies.append({**common, "job_id": job_id, "update_event": "JOB_END", "updates": updates})
        now += 200
    return bodies


async def store_history(executions: ExecutionRepository, arguments: argparse.Namespace) -> None:
    generator = np.random.default_rng(arguments.seed)
    for number in range(arguments.runs):
        execution = new_execution(arguments.candidates, number)
        await executions.insert(execution)
        scale_out = int(generator.choice([4, 8, 12, 16, 24, 36]))
        for body in events(execution.id, arguments.jobs, scale_out, generator):
            await executions.apply_event(execution.id, UpdateInformation.model_validate(body).event())
        last_job = (await executions.finished_jobs(execution.id))[-1]
        await executions.record_state(
            execution.id, ApplicationState.COMPLETED, at=utc_now(), fields={"end_time": last_job.end_time}
        )


async def train(client: httpx.AsyncClient, trials: int) -> None:
    request = {"algorithm_name": ALGORITHM, "model_name": "onlinepredictor", "trials": trials}
    started = await client.post("/training/trigger_model_training", json=request)
    started.raise_for_status()
    run = started.json()
    while run["state"] in UNFINISHED:
        console.print(f"training: {run['trials_done']}/{run['trials_total']} trials", style="dim")
        await asyncio.sleep(3)
        run = (await client.get(f"/training/runs/{started.json()['training_id']}")).json()
    if run["state"] != "SUCCEEDED":
        raise SystemExit(f"the training ended as {run['state']}: {run['detail']}")
    (await client.get(f"/prediction/preload/{ALGORITHM}")).raise_for_status()


async def poll_health(client: httpx.AsyncClient, until: asyncio.Event) -> list[float]:
    """Seconds per answer."""
    taken = []
    while not until.is_set():
        begun = time.perf_counter()
        (await client.get("/healthz")).raise_for_status()
        taken.append(time.perf_counter() - begun)
        await asyncio.sleep(0.02)
    return taken


async def measure(
    client: httpx.AsyncClient, executions: ExecutionRepository, arguments: argparse.Namespace
) -> None:
    quiet_over = asyncio.Event()
    quiet_poll = asyncio.create_task(poll_health(client, quiet_over))
    await asyncio.sleep(4)
    quiet_over.set()
    quiet = await quiet_poll

    generator = np.random.default_rng(arguments.seed + 1)
    busy_over = asyncio.Event()
    busy_poll = asyncio.create_task(poll_health(client, busy_over))
    latencies, decisions = [], []
    for number in range(arguments.runs, arguments.runs + arguments.measured_runs):
        execution = new_execution(arguments.candidates, number)
        await executions.insert(execution)
        for body in events(execution.id, arguments.jobs, 4, generator):
            begun = time.perf_counter()
            answer = await client.post(
                "/prediction/online_scale_out_prediction", json={**body, "predict": True}
            )
            answer.raise_for_status()
            if answer.json()["best_predicted_scale_out_per_job"]:
                latencies.append(time.perf_counter() - begun)
        decisions += await executions.decisions(execution.id)
        console.print(f"{len(latencies)} recommendations", style="dim")
    busy_over.set()
    # The last job of a run has nothing after it.
    if missing := arguments.measured_runs * (arguments.jobs - 1) - len(latencies):
        console.print(f"{missing} jobs were followed by no recommendation, and are in no figure", style="red")
    report(latencies, decisions, quiet, await busy_poll, arguments)


def report(
    latencies: Sequence[float],
    decisions: Sequence[Any],
    quiet: Sequence[float],
    busy: Sequence[float],
    arguments: argparse.Namespace,
) -> None:
    tuning = [decision.fine_tune_seconds for decision in decisions]
    predicting = [decision.predict_seconds for decision in decisions]
    rest = [total - a - b for total, a, b in zip(latencies, tuning, predicting, strict=True)]
    table = Table(
        title=f"{arguments.runs} runs x {arguments.jobs} jobs of history, {arguments.candidates} candidates"
    )
    for column in ("milliseconds", "median", "p95", "max", "n"):
        table.add_column(column, justify="left" if column == "milliseconds" else "right")
    for name, values in (
        ("recommendation, as the client sees it", latencies),
        ("  fine-tuning", tuning),
        ("  prediction", predicting),
        ("  rest: storing, reading, transport", rest),
        ("/healthz, service idle", quiet),
        ("/healthz, during recommendations", busy),
    ):
        milliseconds = 1000 * np.array(values)
        row = [statistics.median(milliseconds), np.quantile(milliseconds, 0.95), milliseconds.max()]
        table.add_row(name, *(f"{value:.1f}" for value in row), str(len(values)))
    console.print(table)
    ratio = statistics.median(busy) / statistics.median(quiet)
    console.print(f"/healthz during recommendations / idle: {ratio:.2f} (medians)")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=30, help="runs of history")
    parser.add_argument("--jobs", type=int, default=18)
    parser.add_argument("--candidates", type=int, default=33)
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--measured-runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="enel-benchmark-") as folder:
        async with embedded_mongod(Path(folder) / "mongodb") as uri:
            executions = ExecutionRepository(AsyncMongoClient(uri, tz_aware=True), DATABASE)
            await executions.create_indexes()
            console.print("storing the history")
            await store_history(executions, arguments)
            environment = {**ALONE, "MONGODB_ENDPOINT": uri, "MONGODB_DATABASE": DATABASE}
            async with (
                service_process(Path(folder) / "service", **environment) as url,
                httpx.AsyncClient(base_url=url, timeout=60) as client,
            ):
                await train(client, arguments.trials)
                await measure(client, executions, arguments)


if __name__ == "__main__":
    asyncio.run(main())
