"""This build of the service against an earlier one, in turn on the same machine: speed, memory and start.

    python benchmarks/against.py [--baseline e73dd35] [--rounds 3] [--parts start recommendations events ...]
        [--output DIR]

Both builds are spoken to over HTTP alone, with the same requests: 30 runs of 18 jobs with stages and metrics
are reported (`benchmarks.staged_application`), a model is trained on them, and later runs are reported job by
job, 33 candidates each. What an earlier build needs besides is installed into a temporary folder. Parts:

- `start`: seconds from the start of the process, on embedded defaults, to the first answer of `/readyz`;
  memory of the idle service;
- `recommendations`: one at a time, and 16 runs at once; memory after them. Jobs that no recommendation
  followed are counted, here and below, and not timed;
- `network`: the same where the graph network serves, which validation leaves to laws otherwise;
- `health`: `/healthz` while 16 runs ask without a pause, a training goes on, and 300 reports come a second;
- `events`: reports stored in a second over 1, 8 and 32 connections;
- `memory`: of the web process and the worker, after 1,000 recommendations and 10,000 reports over what it
  was after a tenth of them;
- `long`: a recommendation of a run of 1,000 jobs, after a training of ten epochs, as three hundred take the
  earlier build more than 18 minutes;
- `trials`: 40 trials of a training, and the validation error of what they find; each round has other runs.
"""

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from pymongo import AsyncMongoClient

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.reporting import Bar, Section, bars_section, open_console, show, write  # noqa: E402
from benchmarks.staged_application import make_runs  # noqa: E402
from benchmarks.support.builds import ROOT as THIS  # noqa: E402
from benchmarks.support.builds import (  # noqa: E402
    Build,
    Running,
    earlier_build,
    letting_the_network_serve,
    running,
    training_for_a_moment,
)
from benchmarks.support.report_sender import Plan, send_reports, send_steadily  # noqa: E402
from common.executions.documents import ApplicationExecution, ApplicationState  # noqa: E402
from common.mongo.document import utc_now  # noqa: E402
from common.mongo.embedded import embedded_mongod  # noqa: E402
from common.mongo.types import Client  # noqa: E402
from training.history.values import JobRecord, RunRecord  # noqa: E402
from training.runs.documents import UNFINISHED  # noqa: E402

DATABASE, ALGORITHM = "benchmark", "Ranking"
RUNS, JOBS, LATER_RUNS, TOGETHER = 30, 18, 4, 16
LONG_RUNS = 6
"""Of 1,000 jobs each."""
CANDIDATES = (4, 36)
EPOCH_MS = 1_700_000_000_000
UNANSWERED = "jobs that no recommendation followed"
CONNECTIONS = (1, 8, 32)
_TUNED_SECONDS = 0.0005
"""Looking whether there is anything to tune takes less."""
REPORTS_PER_SECOND, REPORTING = 300.0, 64
"""Beside all else, and how many applications they are of."""

console = open_console()
Figures = dict[str, float]
Part = Callable[["Place"], Coroutine[Any, Any, Figures]]


class Place:
    """A running build with a database, and what is measured of it."""

    def __init__(self, service: Running, mongo: Client, http: httpx.AsyncClient, arguments: Any) -> None:
        self.service, self.http, self.arguments = service, http, arguments
        self._database = mongo[DATABASE]
        self.asked = 0
        self.unanswered: Counter[str] = Counter()
        """Jobs that no recommendation followed though there was one to give, by the reason that was said."""

    async def new_execution(self, run: RunRecord | None = None) -> str:
        """Id of one that runs, as a submission would have stored it."""
        context = run.context if run else None
        made = ApplicationExecution(
            id=f"benchmark-{time.monotonic_ns()}",
            global_specs={
                "experiment_name": "benchmark",
                "algorithm_name": ALGORITHM if run else "Synthetic",
                "algorithm_args": list(context.algorithm_args) if context else [],
                "data_size_MB": context.data_size_mb if context else 1000,
                "min_scale_out": CANDIDATES[0],
                "max_scale_out": CANDIDATES[1],
                "max_runtime": 600.0,
            },
            worker_specs={"scale_out": 4},
            state=ApplicationState.RUNNING,
        )
        # What every build knows of it; the rest has its defaults.
        known = {"id", "created_at", "state", "global_specs", "worker_specs"}
        document = made.model_dump(by_alias=True, include=known, exclude_none=True)
        document |= {"created_at": made.created_at, "state": made.state.value}
        await self._database["application_execution"].insert_one(document)
        return made.id

    async def completed(self, execution_id: str, run: RunRecord) -> None:
        ended = utc_now().fromtimestamp((EPOCH_MS / 1000) + run.runtime_seconds, utc_now().tzinfo)
        change = {"state": ApplicationState.COMPLETED.value, "end_time": ended}
        change["state_changes"] = [{"state": "COMPLETED", "at": ended, "reason": ""}]  # type: ignore[assignment]
        await self._database["application_execution"].update_one({"_id": execution_id}, {"$set": change})

    async def learn(self, runs: Sequence[RunRecord], trials: int) -> tuple[float, float]:
        """Report the runs and train on them; seconds of the training, and its validation error."""
        for run in runs:
            execution_id = await self.new_execution(run)
            for body in bodies(execution_id, run):
                (await self.http.post("/training/update_information", json=body)).raise_for_status()
            await self.completed(execution_id, run)
        return await self.train(trials)

    async def train(self, trials: int) -> tuple[float, float]:
        """Seconds and validation error of one training."""
        request = {"algorithm_name": ALGORITHM, "model_name": "onlinepredictor", "trials": trials}
        begun = time.perf_counter()
        started = await self.http.post("/training/trigger_model_training", json=request)
        started.raise_for_status()
        run = started.json()
        while run["state"] in UNFINISHED:
            await asyncio.sleep(0.2)
            run = (await self.http.get(f"/training/runs/{started.json()['training_id']}")).json()
        if run["state"] != "SUCCEEDED":
            raise SystemExit(f"{self.service.build.name}: the training ended as {run['state']}: {run}")
        (await self.http.get(f"/prediction/preload/{ALGORITHM}")).raise_for_status()
        return time.perf_counter() - begun, float(run["best_loss"])

    async def median_fine_tuning_seconds(self) -> float:
        """Of all decisions; 0 where laws serve, which nothing is tuned for."""
        fields = {"fine_tune_seconds": 1}
        decisions = await self._database["scaling_decision"].find({}, fields).to_list()
        seconds = statistics.median(each.get("fine_tune_seconds") or 0.0 for each in decisions)
        return seconds if seconds > _TUNED_SECONDS else 0.0

    async def recommendations(self, run: RunRecord, most: int | None = None) -> list[float]:
        """Report a run job by job, and ask after each; seconds of every answer with a recommendation.

        An answer without one may be quick for being none: it is counted (`unanswered`), and not timed.
        """
        execution_id, taken = await self.new_execution(run), []
        for body in bodies(execution_id, run)[:most]:
            begun = time.perf_counter()
            answer = await self.http.post(
                "/prediction/online_scale_out_prediction", json={**body, "predict": True}
            )
            answer.raise_for_status()
            seconds = time.perf_counter() - begun
            # The start is followed by none, and the last job has nothing after it to recommend for.
            is_asked = body["update_event"] == "JOB_END" and body["job_id"] != run.jobs[-1].job_id
            self.asked += is_asked
            if answer.json()["best_predicted_scale_out_per_job"]:
                taken.append(seconds)
            elif is_asked:
                self.unanswered[str(answer.json().get("reason") or "no reason")] += 1
        return taken


def bodies(execution_id: str, run: RunRecord) -> list[dict[str, Any]]:
    """What a driver reports of a run: its start, and the end of each job."""
    around = {"application_execution_id": execution_id, "application_id": f"spark-{execution_id}"}
    start = {
        "application_id": around["application_id"],
        "start_time": EPOCH_MS,
        "start_scale_out": run.jobs[0].start_scale_out,
    }
    ends = [
        {**around, "job_id": job.job_id, "update_event": "JOB_END", "updates": _job(job)} for job in run.jobs
    ]
    return [{**around, "update_event": "APPLICATION_START", "updates": start}, *ends]


def _job(job: JobRecord) -> dict[str, Any]:
    stages = {
        str(stage.stage_id): {
            "stage_id": stage.stage_id,
            "stage_name": stage.name,
            "num_tasks": stage.num_tasks,
            "parent_stage_ids": list(stage.parent_ids),
            "start_time": EPOCH_MS + round(1000 * stage.start_seconds),
            "end_time": EPOCH_MS + round(1000 * (stage.start_seconds + stage.runtime_seconds)),
            "start_scale_out": stage.start_scale_out,
            "end_scale_out": stage.end_scale_out,
            "rescaling_time_ratio": stage.rescaling_time_ratio,
            "metrics": stage.metrics._asdict() if stage.metrics else {},
        }
        for stage in job.stages
    }
    return {
        "job_id": job.job_id,
        "start_time": EPOCH_MS + round(1000 * job.start_seconds),
        "end_time": EPOCH_MS + round(1000 * job.end_seconds),
        "start_scale_out": job.start_scale_out,
        "end_scale_out": job.end_scale_out,
        "rescaling_time_ratio": job.rescaling_time_ratio,
        "stages": stages,
    }


# --- parts ------------------------------------------------------------------------------------------


async def recommendations(place: Place) -> Figures:
    runs = make_runs(RUNS + LATER_RUNS + TOGETHER, jobs=JOBS)
    await place.learn(runs[:RUNS], trials=2)
    alone = [one for run in runs[RUNS : RUNS + LATER_RUNS] for one in await place.recommendations(run)]
    many = await asyncio.gather(*(place.recommendations(run) for run in runs[-TOGETHER:]))
    together = [one for each in many for one in each]
    memory = place.service.memory()
    return {
        "one recommendation, median, ms": 1000 * statistics.median(alone),
        "one recommendation, p95, ms": 1000 * float(np.quantile(alone, 0.95)),
        "16 at once, median, ms": 1000 * statistics.median(together),
        "worker after them, MiB": memory["worker"],
        "web process after them, MiB": memory["web"],
    }


async def network(place: Place) -> Figures:
    found = await recommendations(place)
    if not await place.median_fine_tuning_seconds():
        raise SystemExit(f"{place.service.build.name}: the network did not serve")
    return {f"by the network: {figure}": value for figure, value in found.items() if "MiB" not in figure}


async def long(place: Place) -> Figures:
    runs = make_runs(LONG_RUNS + 2, jobs=1000)
    await place.learn(runs[:LONG_RUNS], trials=1)
    taken = [one for run in runs[LONG_RUNS:] for one in await place.recommendations(run, most=8)]
    return {"a recommendation of a run of 1,000 jobs, median, s": statistics.median(taken[1:])}


async def trials(place: Place) -> Figures:
    # A training's own seed is always the same, so that chance has to come from the history.
    seconds, error = await place.learn(make_runs(RUNS, seed=place.arguments.seed, jobs=JOBS), trials=40)
    return {"40 trials, s": seconds, "validation error of 40 trials": error}


async def events(place: Place) -> Figures:
    port, found = urlsplit(place.service.url).port or 0, {}
    per_connection = 12
    for connections in CONNECTIONS:
        names = [await place.new_execution() for _ in range(connections * per_connection)]
        each = [(name, -1, JOBS) for name in names]
        plan = [each[number::connections] for number in range(connections)]
        before = place.service.cpu_seconds()
        sent = await send_reports(Plan(port, plan))
        if sent.refused:
            raise SystemExit(f"{place.service.build.name} refused {sent.refused}")
        count = len(sent.acknowledged)
        found[f"reports/s over {connections} connections"] = count / sent.seconds
        found[f"web process per report over {connections}, CPU ms"] = (
            1000 * (place.service.cpu_seconds() - before) / count
        )
    return found


async def memory(place: Place) -> Figures:
    port = urlsplit(place.service.url).port or 0
    runs = make_runs(RUNS + 70, jobs=JOBS)
    later = iter(runs[RUNS:])
    await place.learn(runs[:RUNS], trials=1)

    async def use(recommendations: int, reports: int) -> float:
        given = 0
        while given < recommendations:
            given += len(await place.recommendations(next(later)))
        names = [await place.new_execution() for _ in range(reports // JOBS)]
        each = [(name, -1, JOBS) for name in names]
        plan = [each[number :: CONNECTIONS[1]] for number in range(CONNECTIONS[1])]
        if (sent := await send_reports(Plan(port, plan))).refused:
            raise SystemExit(f"{place.service.build.name} refused {sent.refused}")
        await asyncio.sleep(place.arguments.settle)
        return sum(place.service.memory().values())

    early = await use(100, 1_000)
    late = await use(900, 9_000)
    return {"memory after 1,000 and 10,000, over after 100 and 1,000": late / early}


async def health(place: Place) -> Figures:
    runs = make_runs(RUNS + 2 * TOGETHER, jobs=JOBS)
    await place.learn(runs[:RUNS], trials=2)
    names = [await place.new_execution() for _ in range(REPORTING)]
    # Each application's start, and then one job after the other.
    reports = ((names[number % REPORTING], number // REPORTING - 1) for number in itertools.count())
    over, taken = asyncio.Event(), []

    async def poll() -> None:
        while not over.is_set():
            begun = time.perf_counter()
            (await place.http.get("/healthz")).raise_for_status()
            taken.append(time.perf_counter() - begun)
            await asyncio.sleep(0.02)

    port = urlsplit(place.service.url).port or 0
    reporting = asyncio.create_task(send_steadily(port, reports, REPORTS_PER_SECOND, over))
    training = asyncio.create_task(place.train(3))
    polling = asyncio.create_task(poll())
    await asyncio.gather(*(place.recommendations(run) for run in runs[-TOGETHER:]))
    await training
    over.set()
    await polling
    reported = await reporting
    if reported.refused:
        raise SystemExit(f"{place.service.build.name} refused {reported.refused}")
    return {
        "/healthz while all of it runs, p99, ms": 1000 * float(np.quantile(taken, 0.99)),
        "reports/s meanwhile": reported.per_second,
    }


PARTS: Mapping[str, Part] = {
    "recommendations": recommendations,
    "network": network,
    "health": health,
    "events": events,
    "memory": memory,
    "long": long,
    "trials": trials,
}

_CHANGED = {"network": letting_the_network_serve, "long": training_for_a_moment}
"""Parts that ask a copy of each build with one value changed."""

_ABSOLUTE = {
    "one recommendation, median, ms": 30.0,
    "16 at once, median, ms": 300.0,
    "by the network: one recommendation, median, ms": 30.0,
    "by the network: 16 at once, median, ms": 300.0,
    "/healthz while all of it runs, p99, ms": 50.0,
    "memory after 1,000 and 10,000, over after 100 and 1,000": 1.05,
}
_RATIOS = {
    "start to /readyz, s": 0.6,
    "idle service, MiB": 0.6,
    "one recommendation, median, ms": 0.5,
    "16 at once, median, ms": 0.35,
    "by the network: one recommendation, median, ms": 0.5,
    "by the network: 16 at once, median, ms": 0.35,
    "worker after them, MiB": 0.6,
    "a recommendation of a run of 1,000 jobs, median, s": 0.15,
    "40 trials, s": 0.33,
}


@asynccontextmanager
async def place_for(build: Build, arguments: argparse.Namespace, part: str) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="enel-against-")))
        uri = await stack.enter_async_context(embedded_mongod(folder / "mongodb", cache_gigabytes=0.5))
        environment = {"MONGODB_ENDPOINT": uri, "MONGODB_DATABASE": DATABASE}
        if part in _CHANGED:
            build = await asyncio.to_thread(_CHANGED[part], build, folder / "build")
        service = await stack.enter_async_context(running(build, folder / "service", **environment))
        mongo: Client = AsyncMongoClient(uri, tz_aware=True)
        stack.push_async_callback(mongo.close)
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=service.url, timeout=600, trust_env=False)
        )
        await asyncio.sleep(arguments.settle)  # workers start in the background
        yield Place(service, mongo, http, arguments)


async def start(build: Build, arguments: argparse.Namespace) -> Figures:
    """Of the service by itself, with a MongoDB that it starts."""
    with tempfile.TemporaryDirectory(prefix="enel-against-") as folder:
        async with running(build, Path(folder)) as service:
            await asyncio.sleep(arguments.settle)
            memory = service.memory()
            return {
                "start to /readyz, s": service.ready_seconds,
                "idle web process, MiB": memory["web"],
                "idle worker, MiB": memory["worker"],
                "idle service, MiB": sum(memory.values()),
            }


async def measure(
    builds: Sequence[Build], arguments: argparse.Namespace
) -> Mapping[str, Mapping[str, Sequence[float]]]:
    """Figure to build to values, one a round."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    if "start" in arguments.parts:
        for build in builds:  # a first start compiles, and reads a cold disk
            with tempfile.TemporaryDirectory(prefix="enel-against-") as folder:
                async with running(build, Path(folder)):
                    pass
    for part in arguments.parts:
        for number in range(arguments.rounds):
            arguments.seed = number
            for build in builds if number % 2 == 0 else reversed(builds):
                begun = time.perf_counter()
                if part == "start":
                    figures = await start(build, arguments)
                else:
                    async with place_for(build, arguments, part) as place:
                        figures = await PARTS[part](place)
                    if place.asked:
                        figures[f"{part}: {UNANSWERED}"] = float(place.unanswered.total())
                    for reason, count in place.unanswered.items():
                        console.print(f"{build.name}: no recommendation, {count} times: {reason}")
                took = timedelta(seconds=round(time.perf_counter() - begun))
                console.print(f"{part}, round {number + 1}, {build.name}: {took}", style="dim")
                for figure, value in figures.items():
                    # Also said at once: a run of hours that is ended early has not been for nothing.
                    console.print(f"  {figure}: {value:.4g}", style="dim")
                    found[figure][build.name].append(value)
    return found


def report(found: Mapping[str, Mapping[str, Sequence[float]]], earlier: str, output: Path | None) -> None:
    rows, bars = [], []
    for figure, values in found.items():
        # Of what is to be none, a single round is too much.
        is_count = figure.endswith(UNANSWERED)
        before, now = (
            max(values[name]) if is_count else statistics.median(values[name]) for name in (earlier, "this")
        )
        rows.append([figure, f"{before:.4g}", f"{now:.4g}", f"{now / before:.2f}" if before else ""])
        if figure in _RATIOS:
            bars.append(Bar(figure, now, _RATIOS[figure], before))
        if figure in _ABSOLUTE:
            bars.append(Bar(f"{figure}, by itself", now, _ABSOLUTE[figure]))
        if figure == f"reports/s over {CONNECTIONS[-1]} connections":
            bars.append(Bar(figure, now, float("inf"), before, at_least=5.0))
            bars.append(Bar(f"{figure}, by itself", now, float("inf"), at_least=1000.0))
        if is_count:
            bars.append(Bar(figure, now, 0.0))
        if figure == "validation error of 40 trials":
            bars.append(Bar(figure, now, 1.0, before))
    sections = [Section("Medians of the rounds", ("figure", earlier, "this build", "ratio"), rows)]
    sections.append(bars_section(bars))
    show(console, sections)
    if output is not None:
        write(output, "against", sections, bars, {key: dict(value) for key, value in found.items()})


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--baseline", default="e73dd35", help="commit to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", default=["start", *PARTS], choices=["start", *PARTS])
    parser.add_argument("--settle", type=float, default=6.0, help="seconds until a service is idle")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="enel-build-") as folder,
        earlier_build(arguments.baseline, Path(folder)) as earlier,
    ):
        found = await measure([earlier, Build("this", THIS)], arguments)
    report(found, arguments.baseline, arguments.output)


if __name__ == "__main__":
    asyncio.run(main())
